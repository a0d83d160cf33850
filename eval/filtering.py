"""How many planted faults the filter finds, and how many good records it takes for faults.

python eval/filtering.py              # 2,000 records, about two minutes on two cores
python eval/filtering.py --seed 7     # others
python eval/filtering.py --out runs/filtering   # keeps the data, what was dropped and why

Tabletop pictures with captions, four in ten of them with a fault of ten kinds, a fifth of those whose picture is faulty with one of
the text too. The rules are those of eval/filtering.yaml; their thresholds were chosen on --seed 100, and what is promised are the
numbers of the default. A fault counts as found by whichever rule; of a record and its near-duplicate the second must go. Exit code 1
where a floor is missed.
"""

import argparse
import io
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance
from rich.box import HORIZONTALS
from rich.console import Console
from rich.table import Table

from minigemini.benchmarks.statistics.wilson import wilson
from minigemini.data.check import cores
from minigemini.filtering.apply import apply_rules
from minigemini.filtering.measure import measure, parts_of
from minigemini.filtering.rules import load_rules
from minigemini.output_path import output_folder
from minigemini.tabletop.language import describe
from minigemini.tabletop.picture import render
from minigemini.tabletop.scene import COLOURS, SHAPES, Scene, random_scene

RULES = Path(__file__).with_suffix(".yaml")
FAULTY = 0.4  # of the records
WITH_SECOND = 0.2  # of those with a faulty picture
LEAST_RECALL, MOST_FALSE = 0.95, 0.02
HELD_OUT = 60  # pictures of the evaluation set
PICTURE_KINDS = ("unreadable", "blank", "small or thin", "of an evaluation set")
TEXT_KINDS = ("too short", "repetitive", "other language", "boilerplate")
KINDS = (*PICTURE_KINDS, *TEXT_KINDS, "near-duplicate", "wrong caption")

# colours, shapes and cells in the order of the scene's, and a phrase
LANGUAGES = {
    "German": (
        "roter,oranger,gelber,grüner,türkiser,blauer,violetter,schwarzer",
        "Kreis,Würfel,Keil,Rhombus,Stern",
        "oben links,oben,oben rechts,links,in der Mitte,rechts,unten links,unten,unten rechts",
        "ein {colour} {shape} {cell}",
    ),
    "French": (
        "rouge,orange,jaune,vert,turquoise,bleu,violet,noir",
        "cercle,carré,triangle,losange,signe en croix",
        "en haut à gauche,en haut,en haut à droite,à gauche,au centre,à droite,en bas à gauche,en bas,en bas à droite",
        "un {shape} {colour} {cell}",
    ),
    "Spanish": (
        "rojo,naranja,amarillo,verde,turquesa,azul,morado,negro",
        "círculo,cuadrado,triángulo,rombo,signo de cruz",
        "arriba a la izquierda,arriba,arriba a la derecha,a la izquierda,en el centro,a la derecha,abajo a la izquierda,"
        "abajo,abajo a la derecha",
        "un {shape} {colour} {cell}",
    ),
    "Italian": (
        "rosso,arancione,giallo,verde,turchese,blu,viola,nero",
        "cerchio,quadrato,triangolo,rombo,segno a croce",
        "in alto a sinistra,in alto,in alto a destra,a sinistra,al centro,a destra,in basso a sinistra,in basso,in basso a destra",
        "un {shape} {colour} {cell}",
    ),
}
NOTICES = (
    "this picture is the property of its owner and must not be copied or sold",
    "subscribe to our newsletter for more pictures like this one every single week",
    "click the link below to see the whole collection at its full size today",
)


@dataclass
class Planted:
    """A record, and which faults it has."""

    scene: Scene
    caption: str
    picture: bytes | None  # None: no file
    ending: str
    kinds: list[str] = field(default_factory=list)
    original: "Planted | None" = None  # which it is a near-duplicate of


def good_records(rng: random.Random, number: int, seen: set[str]) -> list[Planted]:
    """Each of another scene, in various sizes and formats."""
    records: list[Planted] = []
    while len(records) < number:
        scene = random_scene(rng, rng.randint(1, 6))
        caption = describe(scene, tags=rng.random() < 0.5)
        if describe(scene, tags=False) not in seen:
            seen.add(describe(scene, tags=False))
            records.append(Planted(scene, caption, *photographed(rng, render(scene))))
    return records


def photographed(rng: random.Random, picture: Image.Image) -> tuple[bytes, str]:
    """As another camera or page would give it: file and ending."""
    side = round(picture.width * rng.uniform(0.8, 1.6))
    picture = picture.resize((side, side), Image.Resampling.BICUBIC)
    picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.92, 1.08))
    return encoded(rng, picture)


def encoded(rng: random.Random, picture: Image.Image) -> tuple[bytes, str]:
    ending = rng.choice(("jpg", "png"))
    data = io.BytesIO()
    if ending == "jpg":
        picture.save(data, "JPEG", quality=rng.randint(70, 95))
    else:
        picture.save(data, "PNG", compress_level=1)
    return data.getvalue(), ending


def make_unreadable(rng: random.Random, one: Planted, others: list[Planted]) -> None:
    assert one.picture is not None
    way = rng.randrange(3)
    if way == 0:
        one.picture = one.picture[: rng.randrange(len(one.picture) // 4, len(one.picture) - 40)]
    elif way == 1:
        one.picture = b"<html><body>404: no such picture</body></html>"
    else:
        one.picture = None


def make_blank(rng: random.Random, one: Planted, others: list[Planted]) -> None:
    side, colour = rng.randint(80, 160), [rng.randrange(256) for _ in range(3)]
    noise = np.random.default_rng(rng.randrange(1 << 32)).normal(scale=rng.choice((0.0, 0.6)), size=(side, side, 1))
    blank = Image.fromarray((colour + noise).round().clip(0, 255).astype(np.uint8))
    one.picture, one.ending = encoded(rng, blank)


def make_small_or_thin(rng: random.Random, one: Planted, others: list[Planted]) -> None:
    small = rng.random() < 0.5
    size = (rng.randint(8, 40),) * 2 if small else rng.choice(((400, 60), (60, 400), (900, 80), (70, 350)))
    one.picture, one.ending = encoded(rng, render(one.scene).resize(size))


def make_evaluation(rng: random.Random, one: Planted, others: list[Planted]) -> None:
    """``others`` is the evaluation set: one of its pictures, as somebody else has saved it."""
    one.scene = rng.choice(others).scene
    one.caption = describe(one.scene, tags=False)
    one.picture, one.ending = photographed(rng, render(one.scene))


def make_too_short(rng: random.Random, one: Planted, others: list[Planted]) -> None:
    one.caption = rng.choice(("photo", "untitled", f"IMG_{rng.randrange(10_000):04}", "a picture", "n/a", "see below"))


def make_repetitive(rng: random.Random, one: Planted, others: list[Planted]) -> None:
    phrases = one.caption.split(", ")
    way = rng.randrange(3)
    if way == 0:
        one.caption = ", ".join([*phrases, *[phrases[-1]] * rng.randint(4, 20)])
    elif way == 1:
        one.caption += " and" * rng.randint(10, 40)
    else:
        one.caption += rng.choice("!-_.") * rng.randint(12, 60)


def make_other_language(rng: random.Random, one: Planted, others: list[Planted]) -> None:
    *words, phrase = LANGUAGES[rng.choice(list(LANGUAGES))]
    colours, shapes, cells = (words_of_it.split(",") for words_of_it in words)
    things = one.scene.in_reading_order()
    one.caption = ", ".join(
        phrase.format(
            colour=colours[COLOURS.index(thing.colour)],
            shape=shapes[SHAPES.index(thing.shape)],
            cell=cells[thing.cell],
        )
        for thing in things
    )


def make_boilerplate(rng: random.Random, one: Planted, others: list[Planted]) -> None:
    number = rng.randrange(len(NOTICES) + 1)
    if number == len(NOTICES):
        notice = (
            f"order print {rng.randrange(10_000)} at https://shop{rng.randrange(100)}.example/{rng.randrange(10_000)}"
        )
    else:
        notice = NOTICES[number]
    one.caption = f"{one.caption}. {notice}" if rng.random() < 0.5 else f"{notice}. {one.caption}"


def make_near_duplicate(rng: random.Random, one: Planted, others: list[Planted]) -> None:
    """Of another record: its picture saved again, its words with a change that says nothing."""
    one.original = rng.choice([other for other in others if not other.kinds and other is not one])
    one.scene = one.original.scene
    one.picture, one.ending = photographed(rng, render(one.scene))
    caption = one.original.caption
    one.caption = rng.choice((caption, caption.capitalize(), f"{caption}.", f"on a table: {caption}", f"{caption} "))


def make_wrong_caption(rng: random.Random, one: Planted, others: list[Planted]) -> None:
    """That of another picture, which is not used with it."""
    one.caption = describe(random_scene(rng, len(one.scene.things)), tags=False)


MAKE: dict[str, Callable[[random.Random, Planted, list[Planted]], None]] = dict(
    zip(
        KINDS,
        (
            *(make_unreadable, make_blank, make_small_or_thin, make_evaluation),
            *(make_too_short, make_repetitive, make_other_language, make_boilerplate),
            *(make_near_duplicate, make_wrong_caption),
        ),
        strict=True,
    )
)


def plant(rng: random.Random, number: int) -> tuple[list[Planted], list[Planted]]:
    """The records in a random order, but a near-duplicate behind its original; and the evaluation set."""
    seen: set[str] = set()
    held_out, records = good_records(rng, HELD_OUT, seen), good_records(rng, number, seen)
    # near-duplicates last: what they are made of must be good
    kinds = sorted((KINDS[place % len(KINDS)] for place in range(round(FAULTY * number))), key="near-duplicate".__eq__)
    faulty = records[: len(kinds)]
    for one, kind in zip(faulty, kinds, strict=True):
        MAKE[kind](rng, one, held_out if kind == "of an evaluation set" else records[len(kinds) :])
        one.kinds.append(kind)
        if kind in PICTURE_KINDS and rng.random() < WITH_SECOND:
            second = rng.choice(TEXT_KINDS)
            MAKE[second](rng, one, records)
            one.kinds.append(second)
    rng.shuffle(records)
    for one in [one for one in records if one.original is not None]:
        here, there = records.index(one), next(n for n, other in enumerate(records) if other is one.original)
        if here < there:
            records[here], records[there] = records[there], records[here]
    return records, held_out


def write(records: list[Planted], held_out: list[Planted], folder: Path) -> Path:
    for name in ("pictures", "held_out"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(held_out):
        assert one.picture is not None
        (folder / "held_out" / f"{number}.{one.ending}").write_bytes(one.picture)
    file = folder / "records.jsonl"
    with file.open("w", encoding="utf-8") as stream:
        for number, one in enumerate(records):
            name = f"pictures/{number}.{one.ending}"
            if one.picture is not None:
                (folder / name).write_bytes(one.picture)
            turns = [{"from": "human", "value": "<image>\ndescribe the picture"}, {"from": "gpt", "value": one.caption}]
            print(json.dumps({"id": number, "image": name, "conversations": turns}), file=stream)
    return file


def run_filter(file: Path, folder: Path, overrides: list[str]) -> dict[int, dict[str, Any]]:
    """Lines of the log by number of the record."""
    rules = load_rules(RULES, file, [*overrides_of(folder), *overrides])
    parts = measure(parts_of(file), None, [named.rule for named in rules], folder / "out" / "measured", cores())
    apply_rules(parts, rules, folder / "out")
    with (folder / "out" / "dropped.jsonl").open(encoding="utf-8") as stream:
        lines = [json.loads(line) for line in stream]
    return {int(line["record"].rpartition("(id ")[2].rstrip(")")): line for line in lines}


def overrides_of(folder: Path) -> list[str]:
    """Where the evaluation set of this run lies."""
    names = [
        line.split("rule: ")[1].split(",")[0].rstrip("}\n")
        for line in RULES.read_text().splitlines()
        if "rule: " in line
    ]
    return [f"filters.{names.index('evaluation_overlap')}.files=[{json.dumps(str(folder / 'held_out'))}]"]


def interval(found: int, number: int) -> str:
    low, high = wilson(found / number, number)
    return f"[{100 * low:.1f}, {100 * high:.1f}]"


def report(records: list[Planted], dropped: dict[int, dict[str, Any]]) -> bool:
    """Print recall and false positives; whether both floors are kept."""
    console = Console(highlight=False, width=110)
    table = Table("kind", "planted", "found", "recall %", "95 %", "by", box=HORIZONTALS)
    rule_of = {number: line["rule"].split(" ")[-1] for number, line in dropped.items()}
    faulty = [number for number, one in enumerate(records) if one.kinds]
    for kind in (*KINDS, "all"):
        here = [number for number in faulty if kind in (*records[number].kinds, "all")]
        found = [number for number in here if number in dropped]
        by = Counter(rule_of[number] for number in found) if kind != "all" else {}
        rules = ", ".join(f"{name} {times}" for name, times in sorted(by.items(), key=lambda one: -one[1]))
        share = f"{100 * len(found) / len(here):.1f}"
        table.add_row(kind, str(len(here)), str(len(found)), share, interval(len(found), len(here)), rules)
    console.print(table)
    good = [number for number, one in enumerate(records) if not one.kinds]
    wrong = [number for number in good if number in dropped]
    table = Table("rule", "good records", "dropped", "false %", "95 %", box=HORIZONTALS)
    for name, times in [*Counter(rule_of[number] for number in wrong).most_common(), ("all", len(wrong))]:
        table.add_row(name, str(len(good)), str(times), f"{100 * times / len(good):.2f}", interval(times, len(good)))
    console.print(table)
    recall = sum(number in dropped for number in faulty) / len(faulty)
    kept = recall >= LEAST_RECALL and len(wrong) / len(good) <= MOST_FALSE
    console.print(
        f"floors: recall {LEAST_RECALL:.0%}, false positives {MOST_FALSE:.0%}: {'kept' if kept else 'MISSED'}"
    )
    return kept


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=2000, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--out", type=output_folder, help="keep everything here (default: a temporary folder)")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="values that win over eval/filtering.yaml")
    parsed = parser.parse_args(arguments)
    records, held_out = plant(random.Random(parsed.seed), parsed.records)
    with tempfile.TemporaryDirectory() as temporary:
        folder = parsed.out or Path(temporary)
        dropped = run_filter(write(records, held_out, folder), folder, parsed.overrides)
    return 0 if report(records, dropped) else 1


if __name__ == "__main__":
    sys.exit(main())
