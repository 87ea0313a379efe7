import pytest
from omegaconf import OmegaConf

from anypose.engine.texts import MOST_BYTES, text_of


def test_a_file_is_one_plain_value_of_the_configuration(tmp_path):
    (tmp_path / "a.yaml").write_text("joints: [a, b]\n", encoding="utf-8")
    config = OmegaConf.create({"file": str(tmp_path / "a.yaml"), "text": "${text:${file}}"})
    assert OmegaConf.to_container(config, resolve=True)["text"] == "joints: [a, b]\n"


def test_a_word_that_is_no_file_stays_the_word():
    assert text_of("coco_17") == "coco_17"
    assert text_of(None) == ""


def test_what_would_be_looked_up_is_large_or_no_text_is_refused(tmp_path):
    (tmp_path / "a").write_text("${oc.env:HOME}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"a holds '\$\{', which a configuration would look up"):
        text_of(str(tmp_path / "a"))
    (tmp_path / "b").write_bytes(b"x" * (MOST_BYTES + 1))
    with pytest.raises(ValueError, match=r"b has 1048577 bytes; a text .* at most 1048576"):
        text_of(str(tmp_path / "b"))
    (tmp_path / "c").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ValueError, match=r"c is not text in UTF-8"):
        text_of(str(tmp_path / "c"))
