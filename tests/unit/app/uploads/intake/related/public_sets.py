"""Trees as public data sets come, with few pictures: where the lists lie and what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.archives import png

Files = dict[str, bytes]
Said = Mapping[str, tuple[str | tuple[str, ...], str | None]]
"""By a picture's name its label or labels, and its split."""


def lines(told: Sequence[str]) -> bytes:
    return ("\n".join(told) + "\n").encode()


BIRDS = ("001.Black_footed_Albatross", "002.Laysan_Albatross", "003.Sooty_Albatross")


def cub(*, flat: bool = False, kept: int = 12) -> tuple[Files, Said]:
    """CUB-200: lists by a number a picture; a folder a class, or all in one."""
    names = [f"{bird}/{bird[4:]}_{at:04d}.jpg" for bird in BIRDS for at in range(4)]
    if flat:
        names = [name.rpartition("/")[2] for name in names]
    files = {f"CUB/images/{name}": png(at) for at, name in enumerate(names[:kept])}
    every = list(enumerate(names, 1))
    files |= {
        "CUB/images.txt": lines([f"{at} {name}" for at, name in every]),
        "CUB/image_class_labels.txt": lines([f"{at} {(at + 3) // 4}" for at, _ in every]),
        "CUB/train_test_split.txt": lines([f"{at} {at % 2}" for at, _ in every]),
        "CUB/classes.txt": lines([f"{at} {bird}" for at, bird in enumerate(BIRDS, 1)]),
        "CUB/bounding_boxes.txt": lines([f"{at} 60.0 27.0 325.0 304.0" for at, _ in every]),
        "CUB/attributes/image_attribute_labels.txt": lines(
            [f"{at} {one} {one % 2} 3 27.7" for at, _ in every for one in range(1, 6)]
        ),
    }
    said = {
        name.rpartition("/")[2]: (BIRDS[(at - 1) // 4], "train" if at % 2 else "test")
        for at, name in every[:kept]
    }
    return files, said


def nabirds() -> tuple[Files, Said]:
    """NABirds: names in the place of numbers, and folders that are called by numbers."""
    names = [f"0{number}/{at}{number}.jpg" for number in (817, 295) for at in range(4)]
    files = {f"nabirds/images/{name}": png(at) for at, name in enumerate(names)}
    keys = [f"00{at}5-ab" for at, _ in enumerate(names)]
    both = list(zip(keys, names, strict=True))
    files |= {
        "nabirds/images.txt": lines([f"{key} {name}" for key, name in both]),
        "nabirds/image_class_labels.txt": lines([f"{key} {name[1:4]}" for key, name in both]),
        "nabirds/train_test_split.txt": lines(
            [f"{key} {int(name[5] < '2')}" for key, name in both]
        ),
        "nabirds/sizes.txt": lines([f"{key} 1024 {680 + at}" for at, (key, _) in enumerate(both)]),
        "nabirds/classes.txt": b"0 Birds\n817 Common Eider (Adult)\n295 Oak Titmouse\n",
    }
    birds = {"817": "Common Eider (Adult)", "295": "Oak Titmouse"}
    return files, {
        name[5:]: (birds[name[1:4]], "train" if name[5] < "2" else "test") for name in names
    }


NAMES = ("Bald", "Smiling", "Young")


def celeba() -> tuple[Files, Said]:
    """CelebA: a count, names of attributes, and 1 or -1 of each; partitions 0, 1 and 2."""
    count = 12
    names = [f"{at:06d}.jpg" for at in range(count)]
    files = {f"img_align_celeba/{name}": png(at) for at, name in enumerate(names)}
    marks = [[1 if (at >> one) & 1 else -1 for one in range(3)] for at in range(count)]
    told = [f"{name} {a:2d} {b:2d} {c:2d}" for name, (a, b, c) in zip(names, marks, strict=True)]
    parts = [0 if at < 7 else 1 if at < 10 else 2 for at in range(count)]
    files["list_attr_celeba.txt"] = lines([str(count), " ".join(NAMES), *told])
    files["list_eval_partition.txt"] = lines(
        [f"{name} {part}" for name, part in zip(names, parts, strict=True)]
    )
    words = ("train", "val", "test")
    return files, {
        name: (
            tuple(one for one, mark in zip(NAMES, marks[at], strict=True) if mark == 1),
            words[parts[at]],
        )
        for at, name in enumerate(names)
    }


def celeba_in_tables() -> tuple[Files, Said]:
    """CelebA as it is passed on: the same in tables."""
    files, said = celeba()
    _, names, *rows = files.pop("list_attr_celeba.txt").decode().splitlines()
    header = ",".join(["image_id", *names.split()])
    files["list_attr_celeba.csv"] = lines([header, *(",".join(one.split()) for one in rows)])
    parts = files.pop("list_eval_partition.txt").decode().replace(" ", ",").splitlines()
    files["list_eval_partition.csv"] = lines(["image_id,partition", *parts])
    return files, said


def tiny_imagenet() -> tuple[Files, Said]:
    """Tiny ImageNet: a list of what is in `val/images`, and boxes in each class folder."""
    files: Files = {}
    said: dict[str, tuple[str, str]] = {}
    for at, code in enumerate(("n01443537", "n01629819")):
        names = [f"{code}_{one}.JPEG" for one in range(4)]
        files |= {f"t/train/{code}/images/{one}": png(9 * at + n) for n, one in enumerate(names)}
        files[f"t/train/{code}/{code}_boxes.txt"] = lines(
            [f"{one}\t0\t10\t63\t58" for one in names]
        )
        files[f"t/val/images/val_{at}.JPEG"] = png(50 + at)
        said |= dict.fromkeys(names, (code, "train")) | {f"val_{at}.JPEG": (code, "val")}
    files["t/val/val_annotations.txt"] = (
        b"val_0.JPEG\tn01443537\t0\t32\t44\t62\nval_1.JPEG\tn01629819\t52\t55\t57\t59\n"
    )
    files["t/test/images/test_0.JPEG"] = png(99)
    files["t/wnids.txt"] = b"n01443537\nn01629819\n"
    files["t/words.txt"] = b"n00001740\tentity\nn01443537\tgoldfish\nn01629819\tsalamander\n"
    return files, said


def pets(*, whole: bool = True) -> tuple[Files, Said]:
    """Oxford's pets: stems and numbers, with a comment that names the columns, or none."""
    rows, said, files = [], dict[str, tuple[str, str]](), dict[str, bytes]()
    for number, (breed, kind, own) in enumerate(
        (("Abyssinian", 1, 1), ("american_bulldog", 2, 1), ("Bengal", 1, 2)), 1
    ):
        for one in range(1, 5):
            files[f"images/{breed}_{one}.jpg"] = png(10 * number + one)
            rows.append(f"{breed}_{one} {number} {kind} {own}")
            said[f"{breed}_{one}.jpg"] = (breed, "train" if one < 3 else "test")
    head = ["#Image CLASS-ID SPECIES BREED ID", "#ID: 1:37 Class ids", "#SPECIES: 1:Cat 2:Dog"]
    files["annotations/trainval.txt"] = lines([one for one in rows if one.split()[0][-1] < "3"])
    files["annotations/test.txt"] = lines([one for one in rows if one.split()[0][-1] > "2"])
    if whole:
        files["annotations/list.txt"] = lines([*head, *rows])
    return files, said


def aircraft() -> tuple[Files, Said]:
    """FGVC's aircraft: numbers that pictures are called by, and labels with blanks."""
    kinds = ("707-320", "Boeing 717", "A300B4")
    told: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    files, said = dict[str, bytes](), dict[str, tuple[str, str]]()
    for at in range(12):
        split = ("train", "train", "val", "test")[at % 4]
        files[f"data/images/{1000000 + 77 * at}.jpg"] = png(at)
        told[split].append(f"{1000000 + 77 * at} {kinds[at // 4]}")
        said[f"{1000000 + 77 * at}.jpg"] = (kinds[at // 4], split)
    for split, some in told.items():
        files[f"data/images_variant_{split}.txt"] = lines(some)
        files[f"data/images_{split}.txt"] = lines([one.split()[0] for one in some])
    files["data/images_variant_trainval.txt"] = lines(told["train"] + told["val"])
    files["data/variants.txt"] = lines(kinds)
    files["data/images_box.txt"] = lines(
        [f"{one.split()[0]} 3 144 998 431" for some in told.values() for one in some]
    )
    return files, said


def food() -> tuple[Files, Said]:
    """Food-101: paths without the ending, in lists that are called by the split."""
    names = [f"{dish}/{start + 37 * at}" for dish, start in (("apple_pie", 1000), ("ribs", 5000))
             for at in range(4)]  # fmt: skip
    files = {f"food/images/{name}.jpg": png(at) for at, name in enumerate(names)}
    held = [name for at, name in enumerate(names) if at % 4 == 3]
    files["food/meta/train.txt"] = lines([one for one in names if one not in held])
    files["food/meta/test.txt"] = lines(held)
    files["food/meta/classes.txt"] = b"apple_pie\nribs\n"
    said = {
        f"{one.rpartition('/')[2]}.jpg": (
            one.partition("/")[0],
            "test" if one in held else "train",
        )
        for one in names
    }
    return files, said
