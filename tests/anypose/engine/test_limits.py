"""Numbers that cost memory or processes are judged before anything is built, typed or stored."""

from __future__ import annotations

import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from anypose.engine import fitting
from anypose.engine.fitting import check_buildable
from anypose.engine.limits import check_batch
from anypose.engine.sentences import root
from anypose.engine.settings import check_settings, check_stored
from anypose.settings import Misuse
from tests.composing import composed


@pytest.mark.parametrize("word", ["trainer.workers=1000", "trainer.workers=-1", "trainer.batch_size=0"])
def test_the_loop_s_numbers_are_judged_at_the_border(word):
    cfg = composed("train", word)
    key, _, value = word.partition("=")
    with pytest.raises(Misuse, match=rf"^{key}\b.*{value}\b"):
        check_settings(cfg, "train")
    with pytest.raises(ValueError, match=r"^a\.pt: trainer\.") as caught:
        check_stored(cfg, "a.pt")
    assert not isinstance(caught.value, Misuse), "the file is wrong, not the command"


@pytest.mark.parametrize(
    ("model", "word", "told"),
    [
        ("baseline3d", "dataset.frames=1000000000", "frames=1000000000"),
        ("baseline3d", "dataset.num_cameras=1000000", "num_cameras=1000000"),
        ("baseline3d", "dataset.takes=100000000", "takes=100000000"),
        ("window_mlp", "dataset.invented.frames=1000000000", "frames=1000000000"),
        ("simplebaseline", "dataset.train_images=1000000000", "dataset.train_images or validation_images, 1000000000"),
        ("simplebaseline", "dataset.height=8000000", "dataset.height=8000000 and dataset.width=208"),
        ("simplebaseline", "dataset.bodies=1000000000", "dataset.bodies=1000000000"),
        ("simplebaseline", "task.keep_images=1e12", "task.keep_images=1e+12 MB"),
        ("simplebaseline", "task.cache_size=100000", "task.cache_size must be a number 1 or more and at most 4096"),
        ("total_capture", "task.size=8000000", "task.size must be a multiple of 8 up to 4096"),
        ("total_capture", "task.evaluation_size=8000000", "task.evaluation_size must be a multiple of 8 up to 4096"),
        ("window_mlp", "model.spacing=1000000000", "model.spacing=1000000000 reach over more than 100000 frames"),
        ("window_mlp", "model.frames=1000000001", "model.frames=1000000001"),
    ],
)
def test_what_would_take_more_memory_than_there_should_be_is_named(model, word, told):
    cfg = composed("train", f"model={model}", word)
    with pytest.raises(InstantiationException) as caught:
        instantiate(cfg[word.partition(".")[0]], **({"model": instantiate(cfg.model)} if "task." in word else {}))
    cause = root(caught.value)
    assert isinstance(cause, Misuse)
    assert told in str(cause)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["model.linear_size=1000000"], r"model\.linear_size=1000000, model\.num_blocks=2: it takes \S+ GB"),
        (["model.num_blocks=1000000"], r"model\.num_blocks=1000000: it has more than \d+ tensors"),
        (["model=videopose3d", f"model.kernel_sizes={[3] * 18}".replace(" ", "")], r"it reads \d+ numbers of one"),
    ],
)
def test_a_network_that_this_machine_cannot_hold_is_not_built(words, told, monkeypatch):
    monkeypatch.setattr(fitting, "MOST_TENSORS", 300)  # counting to thousands takes seconds
    cfg = composed("train", *words)
    with pytest.raises(Misuse, match=told):
        check_buildable(lambda: instantiate(cfg.task, model=instantiate(cfg.model)), cfg.model)


def test_a_batch_is_held_against_the_limit_of_files():
    network = instantiate(composed("train", "model=videopose3d").model)
    check_batch(network, 1024, True)
    with pytest.raises(Misuse, match=r"^trainer\.batch_size, 10000000 samples of 918 numbers, would take 36\.7 GB"):
        check_batch(network, 10**7, True)
    with pytest.raises(Misuse, match=r"^trainer\.evaluation_batch_size \(null: batch_size\), 10000000"):
        check_batch(network, 10**7, False)
