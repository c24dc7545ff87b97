"""Steps: a daemon dies before, within or after an effect, exactly where it was told to."""

import asyncio

import pytest

from faults.steps import DONE, EFFECTS, ORDERED, STEPS, Executioner, _awaited, _called


class Witness(Executioner):
    """Says that it would have killed, instead of doing so."""

    killed = False

    def kill(self) -> None:
        self.killed = True


@pytest.mark.parametrize("step", STEPS)
def test_every_step_is_one_of_the_product(step):
    """What is wrapped is there, and what has a `within` can be awaited."""
    effect = STEPS[step]
    original = getattr(effect.owner, effect.method)
    assert asyncio.iscoroutinefunction(original) or not step.startswith("within")


@pytest.mark.parametrize(("step", "when"), [("before", []), ("after", ["done"])])
async def test_it_dies_on_the_right_side_of_an_effect(tmp_path, step, when):
    """Before nothing is done yet; after all is."""
    done, deaths = [], []

    class Here(Executioner):
        def kill(self) -> None:
            deaths.append([*done])

    async def effect() -> None:
        done.append("done")

    (tmp_path / ORDERED).write_text(f"{step} COMMIT", encoding="ascii")
    await _awaited("COMMIT", EFFECTS["COMMIT"], effect, Here(tmp_path))()
    assert deaths == [when]


async def test_within_an_effect_it_dies_while_that_goes_on(tmp_path):
    """The effect has begun, and has not ended."""
    begun, killed = asyncio.Event(), asyncio.Event()

    class Here(Executioner):
        def kill(self) -> None:
            assert begun.is_set()
            killed.set()

    async def effect() -> None:
        begun.set()
        await killed.wait()

    (tmp_path / ORDERED).write_text("within COMMIT", encoding="ascii")
    async with asyncio.timeout(5):
        await _awaited("COMMIT", EFFECTS["COMMIT"], effect, Here(tmp_path))()


def test_without_an_order_nothing_happens_and_the_result_is_the_same(tmp_path):
    """A daemon that is not told to die is the product itself."""
    witness = Witness(tmp_path)
    effect = EFFECTS["moving past a note"]
    assert _called("moving past a note", effect, lambda one: one + 1, witness)(1) == 2
    assert not witness.killed


def test_calls_that_are_not_meant_go_on(tmp_path):
    """A step of the inbox is not reached by a status event."""
    witness = Witness(tmp_path)
    (tmp_path / ORDERED).write_text("before publishing a document", encoding="ascii")
    publish = _called(
        "publishing a document", EFFECTS["publishing a document"], lambda *_: None, witness
    )
    publish(None, "status")
    assert not witness.killed
    publish(None, "inbox")
    assert witness.killed


def test_an_order_that_was_withdrawn_kills_nobody(tmp_path):
    """Between the look and the act it may be taken back: the process lives on."""
    Executioner(tmp_path).kill()
    assert not (tmp_path / DONE).exists()
