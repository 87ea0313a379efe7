import time

import pytest

from anypose.plain_yaml import MOST_CHARACTERS, read_yaml, shown


def test_values_are_read_as_yaml_means_them():
    assert read_yaml("a: [1, x, null]\nb: {c: 0.5}\n", "f") == {"a": [1, "x", None], "b": {"c": 0.5}}


@pytest.mark.parametrize("times", ["[{}]", "{{<<: [{}]}}"])
def test_a_text_that_refers_to_itself_again_and_again_is_refused_at_once(times):
    lines = ["a0: &a0 {x: 1, y: 2}" if "<<" in times else "a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} " + times.format(", ".join([f"*a{n - 1}"] * 9)) for n in range(1, 12)]
    start = time.process_time()
    with pytest.raises(ValueError, match=r"^f is not YAML: anchors \(&x, \*x\) are not read"):
        read_yaml("\n".join(lines), "f")
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    "text", ["a: 2001-99-99", "!!timestamp x", "!!int ''", "!!float x", "? [a]\n: b", "[", "a: 1\na: 2"]
)
def test_odd_values_are_refused_with_the_file(text):
    with pytest.raises(ValueError, match=r"^f is not YAML: "):
        read_yaml(text, "f")


def test_what_is_long_is_refused_and_shown_short():
    with pytest.raises(ValueError, match=rf"f has {MOST_CHARACTERS + 1} characters; up to {MOST_CHARACTERS} of YAML"):
        read_yaml(" " * (MOST_CHARACTERS + 1), "f")
    assert len(shown(["x" * 1000] * 1000)) <= 80
    assert shown(16**9000) == "int"
