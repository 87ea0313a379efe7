"""The fifteen actions of Human3.6M as scripts: what a person told to "smoke" or "wait" might do for a while."""

from __future__ import annotations

from collections.abc import Callable

from pose3d.synthesis import athletics, seats
from pose3d.synthesis import footwork as feet
from pose3d.synthesis import gestures as hands
from pose3d.synthesis.choreography import Script


def directions(s: Script) -> None:
    """Point the way with one hand or both."""
    feet.stand(s, s.begin, s.end, 0.6)
    hands.sway(s, s.begin, s.end)
    hands.look(s, s.begin, s.end)
    for side in (0, 1):
        time = s.begin + s.uniform(0.0, 1.0)
        while time < s.end:
            name = ("forward", "aside", "forward", "wave", "overhead", "hanging", "hip")[s.rng.integers(7)]
            time = hands.place(s, side, name, time, s.uniform(0.5, 1.0), 2.5) + s.rng.exponential(1.0)


def discussion(s: Script) -> None:
    """Talk with the hands, shift about."""
    time = s.begin
    while time < s.end:
        time = feet.stand(s, time, time + s.uniform(3, 8), 0.5)
        if s.chance(0.4):
            time = athletics.move_about(s, time)
    hands.sway(s, s.begin, s.end, 1.3)
    hands.look(s, s.begin, s.end)
    for side in (0, 1):
        hands.talk(s, side, s.begin, s.end, 0.8)


def eating(s: Script) -> None:
    """Sit or stand at a table, one hand to the mouth and back."""
    if s.chance(0.6):
        seats.sit(s)
    else:
        feet.stand(s, s.begin, s.end, 0.3)
        hands.sway(s, s.begin, s.end)
    main = s.side()
    time = s.begin
    while time < s.end:
        time = hands.place(s, main, "table", time, s.uniform(0.6, 1.0)) + s.uniform(0.3, 1.2)
        time = hands.place(s, main, "mouth", time, s.uniform(0.6, 1.0)) + s.uniform(0.2, 0.8)
    hands.keep(s, 1 - main, ("table", "lap", "table", "chin"), s.begin, s.end, 2.0)
    hands.look(s, s.begin, s.end, 0.6, 0.25)


def greeting(s: Script) -> None:
    """Walk up, wave, bow, open the arms."""
    time = s.begin
    main = s.side()
    while time < s.end:
        begin = time
        if s.chance(0.4):
            time = feet.walk(s, time, time + s.uniform(1.5, 4), s.uniform(0.7, 1.5))
        elif s.chance(0.5):
            time = athletics.bend(s, time, s.uniform(0.1, 0.8))
        else:
            time = athletics.move_about(s, time) if s.chance(0.6) else feet.stand(s, time, time + s.uniform(1, 4), 0.5)
        for side in (0, 1):
            kind = s.rng.integers(4)
            if kind == 0 and side == main:
                end = hands.place(s, side, "wave", begin, 0.7)
                hands.shake(s, side, end, max(time, end + 1.0))
            elif kind <= 1:
                hands.both(s, begin, time) if side == 0 else None
            elif kind == 2:
                hands.place(s, side, ("forward", "aside", "hip", "overhead")[s.rng.integers(4)], begin, 0.8, 2.0)
            else:
                hands.place(s, side, "hanging", begin, 0.8)
    hands.sway(s, s.begin, s.end)
    hands.look(s, s.begin, s.end)


def phoning(s: Script) -> None:
    """One hand at the ear, the other one free; sitting, standing or strolling."""
    if s.chance(0.35):
        seats.sit(s)
    else:
        feet.stroll(s, 0.5)
        hands.sway(s, s.begin, s.end)
    main = s.side()
    hands.keep(s, main, ("ear",), s.begin, s.end, 4.0)
    if s.chance(0.5):
        hands.talk(s, 1 - main, s.begin, s.end, 0.3)
    else:
        hands.keep(s, 1 - main, ("hanging", "pocket", "hip", "folded", "behind"), s.begin, s.end)
    hands.look(s, s.begin, s.end, 0.8)


def photo(s: Script) -> None:
    """Hold a camera before the eyes, step, crouch, lean for it."""
    time = s.begin
    while time < s.end:
        begin = time
        choice = s.rng.random()
        if choice < 0.3:
            time = feet.walk(s, time, time + s.uniform(1.5, 4), s.uniform(0.5, 1.2))
        elif choice < 0.55:
            time = athletics.squat(s, time)
        elif choice < 0.7:
            time = athletics.bend(s, time, s.uniform(0.1, 0.5))
        else:
            time = feet.stand(s, time, time + s.uniform(2, 5), 0.6)
        up = s.chance(0.7)
        for side in (0, 1):
            hands.place(s, side, "eyes" if up else ("hanging", "waist", "clasped")[s.rng.integers(3)], begin, 0.8)
    hands.sway(s, s.begin, s.end)
    hands.look(s, s.begin, s.end, 0.5)


def posing(s: Script) -> None:
    """Strike poses: everything a body does on the spot."""
    time = s.begin
    while time < s.end:
        begin = time
        for _ in range(s.rng.integers(1, 3)):
            time = athletics.move_about(s, time)
        if s.chance(0.12):
            time = athletics.hang(s, time + 0.8, time + s.uniform(2, 5))
        elif s.chance(0.4):
            hands.both(s, begin, time, 0.8)
        else:
            for side in (0, 1):
                if s.chance(0.6):
                    hands.wander(s, side, begin, time)
                else:
                    hands.keep(s, side, ("hip", "head", "behind", "folded", "overhead", "pocket", "chin"), begin, time)
    hands.sway(s, s.begin, s.end, 1.6)
    hands.look(s, s.begin, s.end)


def purchases(s: Script) -> None:
    """Reach for things, high and low, bend for them, carry them."""
    time = s.begin
    while time < s.end:
        begin = time
        choice = s.rng.random()
        if choice < 0.3:
            time = feet.walk(s, time, time + s.uniform(1.5, 4), s.uniform(0.6, 1.3))
            places = ("hanging", "lead", "waist")
        elif choice < 0.7:
            time = athletics.bend(s, time)
            places = ("forward", "down", "knee")
        elif choice < 0.85:
            time = athletics.squat(s, time)
            places = ("forward", "knee", "down")
        else:
            time = feet.stand(s, time, time + s.uniform(1.5, 4), 0.5)
            places = ("forward", "overhead", "aside", "waist")
        for side in (0, 1):
            if s.chance(0.25):
                hands.wander(s, side, begin, time)
            else:
                hands.keep(s, side, places, begin, time, 1.0)
    hands.sway(s, s.begin, s.end)
    hands.look(s, s.begin, s.end, 0.8, 0.15)


def sitting(s: Script) -> None:
    """Sit on a chair or a stool."""
    seats.sit(s)
    for side in (0, 1):
        if s.chance(0.4):
            hands.talk(s, side, s.begin, s.end, 0.7)
        else:
            hands.keep(
                s, side, ("lap", "knee", "folded", "chin", "head", "behind", "prop", "table"), s.begin, s.end, 2.0
            )
    hands.look(s, s.begin, s.end)


def sitting_down(s: Script) -> None:
    """Down on the floor in one of many ways, and up again."""
    time = s.begin
    while time < s.end:
        begin = time
        kind = seats.FLOOR_SEATS[s.rng.integers(len(seats.FLOOR_SEATS))]
        time = seats.floor(s, time, time + s.uniform(5, 12), kind)
        time = seats.stand_up(s, time, s.uniform(1.4, 2.4))
        if s.chance(0.5):
            time = feet.stand(s, time, time + s.uniform(0.5, 2), 0.8)
        for side in (0, 1):
            if kind == "fours":
                hands.keep(s, side, ("floor", "floor", "folded"), begin + 1.0, time - 1.5, 4.0)
            elif kind == "supine":
                hands.keep(s, side, ("lying", "lying", "overhead"), begin, time, 3.0)
            elif s.chance(0.5):
                hands.keep(
                    s, side, ("lap", "knee", "prop", "prop", "clasped", "chin", "table", "down"), begin, time, 1.5
                )
            else:
                hands.talk(s, side, begin, time, 0.6)
    hands.look(s, s.begin, s.end)


def smoking(s: Script) -> None:
    """One hand to the mouth, slowly, and down again."""
    if s.chance(0.45):
        seats.sit(s)
        rest = ("knee", "lap", "hanging")
    else:
        feet.stroll(s, 0.25)
        hands.sway(s, s.begin, s.end)
        rest = ("hanging", "waist", "hanging")
    main = s.side()
    time = s.begin
    while time < s.end:
        time = hands.place(s, main, "mouth", time, s.uniform(0.6, 1.1)) + s.uniform(0.5, 1.5)
        time = hands.place(s, main, rest[s.rng.integers(3)], time, s.uniform(0.6, 1.1)) + s.uniform(0.5, 3.0)
    hands.keep(s, 1 - main, ("pocket", "hip", "folded", "clasped", *rest), s.begin, s.end)
    hands.look(s, s.begin, s.end, 0.8)


def waiting(s: Script) -> None:
    """Stand about, look around, change hands, walk a few steps, grow restless."""
    time = s.begin
    if s.chance(0.25):
        seats.sit(s)
        places = ("lap", "knee", "chin", "folded", "head")
    else:
        while time < s.end:
            time = feet.stand(s, time, time + s.uniform(4, 9), 0.5)
            if s.chance(0.3):
                time = feet.walk(s, time, time + s.uniform(1.5, 4), s.uniform(0.5, 1.1))
            elif s.chance(0.25):
                time = athletics.move_about(s, time)
        hands.sway(s, s.begin, s.end)
        places = ("hanging", "hip", "folded", "pocket", "behind", "clasped", "chin", "head")
    for side in (0, 1):
        hands.keep(s, side, places, s.begin, s.end)
    hands.look(s, s.begin, s.end, 1.2)


def walk_dog(s: Script) -> None:
    """Walk, now and then run or crouch, one hand on the lead."""
    main = s.side()
    time = s.begin
    while time < s.end:
        begin = time
        choice = s.rng.random()
        if choice < 0.7:
            time = feet.walk(s, time, time + s.uniform(3, 8), s.uniform(0.6, 1.9))
            hands.keep(s, main, ("lead", "forward", "lead"), begin, time, 1.0)
        elif choice < 0.85:
            time = athletics.bend(s, time) if s.chance(0.5) else athletics.squat(s, time)
            hands.keep(s, main, ("forward", "knee"), begin, time, 1.0)
        else:
            time = feet.walk(s, time, time + s.uniform(1, 2.5), s.uniform(2.1, 3.2), room=1.2)
            hands.place(s, main, "lead", begin, 0.5)
        hands.keep(s, 1 - main, ("hanging", "hanging", "lead", "pocket"), begin, time)
    hands.sway(s, s.begin, s.end)
    hands.look(s, s.begin, s.end, 0.7, 0.15)


def walking(s: Script) -> None:
    """Walk, slow or fast, also backwards and sideways, and run."""
    time = s.begin
    while time < s.end:
        begin = time
        running = s.chance(0.2)
        if running:
            time = feet.walk(s, time, time + s.uniform(2, 5), s.uniform(2.1, 3.6), room=1.2)
        else:
            heading = s.rng.choice([0.0, 0.0, 0.0, 0.0, 3.14, 1.57, -1.57])
            speed = s.uniform(0.5, 2.0) if heading == 0.0 else s.uniform(0.4, 0.9)
            time = feet.walk(s, time, time + s.uniform(4, 10), speed, heading)
        for side in (0, 1):
            usual = "running" if running else "hanging"
            hands.place(
                s, side, usual if s.chance(0.85) else ("pocket", "folded", "waist")[s.rng.integers(3)], begin, 0.7
            )
    hands.sway(s, s.begin, s.end, 0.6)
    hands.look(s, s.begin, s.end, 0.5)


def walk_together(s: Script) -> None:
    """Walk and stand in company: look sideways, talk."""
    time = s.begin
    while time < s.end:
        begin = time
        time = feet.walk(s, time, time + s.uniform(4, 9), s.uniform(0.5, 1.4))
        if s.chance(0.3):
            time = feet.stand(s, time, time + s.uniform(1, 3), 0.6)
        for side in (0, 1):
            if s.chance(0.4):
                hands.talk(s, side, begin, time, 0.4)
            else:
                hands.keep(s, side, ("hanging", "hanging", "pocket", "behind", "aside"), begin, time)
    hands.sway(s, s.begin, s.end)
    hands.look(s, s.begin, s.end, 1.2)


ACTIONS: dict[str, Callable[[Script], None]] = {
    "Directions": directions,
    "Discussion": discussion,
    "Eating": eating,
    "Greeting": greeting,
    "Phoning": phoning,
    "Photo": photo,
    "Posing": posing,
    "Purchases": purchases,
    "Sitting": sitting,
    "SittingDown": sitting_down,
    "Smoking": smoking,
    "Waiting": waiting,
    "WalkDog": walk_dog,
    "Walking": walking,
    "WalkTogether": walk_together,
}
