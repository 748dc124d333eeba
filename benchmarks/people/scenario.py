"""Who does what: life at home, fights between bystanders, streets and crowds."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .acts import bend, crouch, get_up, jump, lie, lie_down, sit_down, stand_up, use_arms
from .falls import fall, fall_out_of_bed
from .fight import brawl
from .person import FPS, STAND, Person
from .room import HEIGHT, WIDTH, Box, Camera, Room
from .skeleton import F64

_KINDS, _SHARES = ("home", "fight", "street", "crowd"), (0.55, 0.27, 0.1, 0.08)
_ACTS = {
    "walk": 0.2, "sit": 0.13, "lie on floor": 0.05, "lie on bed": 0.05, "crouch": 0.09, "bend": 0.1, "arms": 0.1,
    "stand": 0.08, "jump": 0.02, "fall": 0.14, "run": 0.02, "turn": 0.04,
}  # fmt: skip
_ARMS = {"wave": 0.15, "reach": 0.4, "throw": 0.08, "sweep": 0.2, "dance": 0.12, "punch": 0.05}
_NAMES, _WEIGHTS = list(_ACTS), np.array(list(_ACTS.values()))


@dataclass(slots=True)
class Stage:
    """A place with its camera, people and furniture, for a number of frames."""

    rng: np.random.Generator
    kind: str
    camera: Camera
    room: Room
    near: float  #: least distance of people from the camera, meters
    frames: int
    people: list[Person] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)

    def spot(self) -> F64:
        """A random place on the ground in view [2]."""
        y = self.rng.uniform(self.near, min(self.near + 3.5, self.room.depth - 0.5))
        x = self.rng.uniform(-0.45, 0.45) * y * WIDTH / HEIGHT / self.camera.focal * 0.9
        return np.array([np.clip(x, -self.room.half + 0.3, self.room.half - 0.3), y])

    def put_seat(self, person: Person, bed: bool | None = None) -> None:
        """Put a chair or a bed behind the feet of a person; now and then there is none to see."""
        rng, ahead = self.rng, person.ahead
        bed = rng.random() < 0.4 if bed is None else bed
        if rng.random() < 0.08:
            return
        shade, yaw, place = rng.uniform(0.05, 0.8), person.yaw[-1], person.places[-1]
        if bed:
            length, width = rng.uniform(1.0, 2.2), rng.uniform(0.8, 1.6)
            self.boxes.append(Box(place - ahead * (0.12 + length / 2), yaw, (length, width, 0.43), 0.0, shade))
            if rng.random() < 0.4:
                self.boxes.append(Box(place - ahead * (0.12 + length), yaw, (0.2, width, 0.85), 0.0, shade))
            return
        center = place - ahead * 0.38
        self.boxes.append(Box(center, yaw, (0.42, 0.42, 0.06), 0.37, shade))
        if rng.random() < 0.8:
            above = 0.0 if rng.random() < 0.5 else 0.45
            self.boxes.append(Box(center - ahead * 0.21, yaw, (0.06, 0.42, 0.85), above, shade))
        if rng.random() < 0.5:
            self.boxes.append(Box(center, yaw, (0.3, 0.3, 0.37), 0.0, shade * 0.7))

    def put_furniture(self, shifts: tuple[float, float], most: tuple[float, float, float]) -> None:
        """Put up to three boxes in front of or behind the people. most: largest size."""
        rng, indoors = self.rng, self.kind == "home"
        for _ in range(rng.integers(0, 4)):
            center, yaw = self.spot() + np.array([0, rng.choice(shifts)]), rng.uniform(0, 3)
            size = (
                rng.uniform(0.3, most[0]),
                rng.uniform(0.3, most[1]),
                rng.uniform(0.3 if indoors else 0.4, most[2]),
            )
            self.boxes.append(Box(center, yaw, size, 0.0, rng.uniform(0.05, 0.8 if indoors else 0.9)))


def stage(rng: np.random.Generator, seconds: float) -> Stage:
    """A random place with people who act for at least `seconds`."""
    kind = str(rng.choice(_KINDS, p=_SHARES))
    made = _home(rng, round(seconds * FPS)) if kind == "home" else _outside(rng, kind, round(seconds * FPS))
    if kind == "home":
        person = Person(rng, made.spot(), rng.uniform(-np.pi, np.pi))
        made.people.append(person)
        if rng.random() < 0.35:  # comes in
            person.places[0] = np.array([rng.choice([-1, 1]) * 6.0, person.places[0][1]])
            person.walk(made.spot())
        live_at_home(made, person)
        if rng.random() < 0.2:
            other = Person(rng, made.spot(), 0)
            live_at_home(made, other)
            made.people.append(other)
        made.put_furniture((-1.2, 1.5), (1.4, 0.8, 1.1))
        return made
    if kind == "fight":
        brawl(made, pass_time)
        bystanders = rng.integers(0, 4)
        for _ in range(bystanders):
            person = Person(rng, made.spot(), rng.uniform(-3, 3))
            pass_time(made, person)
            made.people.append(person)
    else:
        for _ in range(rng.integers(1, 4) if kind == "street" else rng.integers(5, 10)):
            person = Person(rng, made.spot(), rng.uniform(-3, 3))
            (pass_time if rng.random() < 0.85 else live_at_home)(made, person)
            made.people.append(person)
    made.put_furniture((-2, 2.5), (4, 1.8, 1.7))
    return made


def _home(rng: np.random.Generator, frames: int) -> Stage:
    """A room, seen from between knee height and the ceiling."""
    room = Room(rng.uniform(4, 8), rng.uniform(1.8, 4), outdoor=False)
    height = rng.uniform(0.6, 2.6) if rng.random() < 0.8 else rng.uniform(0.3, 3.2)
    focal, roll, near = rng.uniform(0.7, 1.3), rng.normal(0, 0.03), rng.uniform(1.6, 2.6)
    pitch = np.clip((height - 0.95) / ((near + room.depth) / 2) + rng.normal(0, 0.06), -0.1, 0.9)
    return Stage(rng, "home", Camera(height, pitch, focal, roll), room, min(near, room.depth - 1.5), frames)


def _outside(rng: np.random.Generator, kind: str, frames: int) -> Stage:
    """A street, a hall or a yard, seen by a surveillance camera or a telephone."""
    outdoor = bool(rng.random() < 0.7)
    room = Room(rng.uniform(8, 30), rng.uniform(3, 10), outdoor)
    height, focal = rng.uniform(1.4, 6), rng.uniform(0.8, 1.6)
    near = rng.uniform(1.5, 5 if rng.random() < 0.75 else 12)
    pitch = np.clip((height - 0.9) / (near + 2) + rng.normal(0, 0.05), 0, 1.1)
    camera = Camera(height, pitch, focal, rng.normal(0, 0.03))
    return Stage(rng, kind, camera, room, min(near, room.depth - 1.5), frames)


def live_at_home(place: Stage, person: Person) -> None:
    """Daily life with falls, until the frames are used up."""
    rng = place.rng
    while person.frames < place.frames:
        if person.state == "stand":
            _act(place, person, str(rng.choice(_NAMES, p=_WEIGHTS / _WEIGHTS.sum())))
        elif person.state == "sit":
            chance = rng.random()
            if chance < 0.3:
                person.hold(rng.uniform(0.5, 5), ["sitting"], rng.choice([0.005, 0.02, 0.08]))
            elif chance < 0.45:
                use_arms(person, str(rng.choice(["reach", "wave"])))
            elif chance < 0.55:
                fall(person)
            elif chance < 0.65:
                lie_down(person)
            else:
                stand_up(person)
        else:
            lie(person, rng.uniform(1, 6))
            if person.state == "bed" and rng.random() < 0.08:
                fall_out_of_bed(person)
            elif rng.random() < 0.45:
                get_up(person)


def _act(place: Stage, person: Person, act: str) -> None:
    rng = place.rng
    if act == "walk":
        person.carries = bool(rng.random() < 0.12)
        person.walk(place.spot())
        person.carries = False
    elif act == "run":
        person.walk(place.spot(), rng.uniform(2.3, 3.5))
    elif act == "sit":
        place.put_seat(person)
        sit_down(person)
    elif act == "lie on floor":
        lie_down(person)
    elif act == "lie on bed":
        place.put_seat(person, bed=True)
        sit_down(person)
        person.hold(rng.uniform(0.05, 1.5), ["sitting"])
        lie_down(person)
    elif act == "arms":
        use_arms(person, str(rng.choice(list(_ARMS), p=list(_ARMS.values()))))
    elif act == "stand":
        person.hold(rng.uniform(0.5, 4), ["standing"], rng.choice([0.01, 0.03, 0.08]))
    elif act == "turn":
        seconds = rng.uniform(0.4, 1.2)
        person.move(STAND, seconds, ["turn"], turn=rng.choice([-1, 1]) * rng.uniform(0.8, 3))
    else:
        {"crouch": crouch, "bend": bend, "jump": jump, "fall": fall}[act](person)


def pass_time(place: Stage, person: Person) -> None:
    """Walk about, stand and gesture, until the frames are used up."""
    rng = place.rng
    while person.frames < place.frames:
        chance = rng.random()
        if chance < 0.55:
            person.walk(place.spot(), rng.uniform(0.5, 1.7), 4)
        elif chance < 0.6:
            person.walk(place.spot(), rng.uniform(2.3, 4))
        elif chance < 0.8:
            person.hold(rng.uniform(0.5, 5), ["standing"], rng.choice([0.01, 0.05, 0.1]))
        elif chance < 0.95:
            use_arms(person, str(rng.choice(["wave", "reach", "dance", "throw"])))
        else:
            bend(person)
