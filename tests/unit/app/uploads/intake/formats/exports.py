"""Six pictures of two classes, as the tools that people label with export them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.archives import png

CLASSES = ["cat", "dog"]
LABELS = {f"im{n}.png": CLASSES[n % 2] for n in range(6)}
SIDES = 20, 10
Files = Mapping[str, bytes]


def picture(name: str) -> bytes:
    return png(int(name[2]) + 1, width=SIDES[0], height=SIDES[1])


def pictures(folder: str = "") -> dict[str, bytes]:
    return {f"{folder}{name}": picture(name) for name in LABELS}


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def lines(*values: object) -> bytes:
    return b"\n".join(map(as_json, values)) + b"\n"


def each(make: Callable[[int, str, str], Any]) -> list[Any]:
    return [make(at, name, label) for at, (name, label) in enumerate(LABELS.items())]


def task(at: int, address: str, label: str) -> dict[str, Any]:
    part = {"from_name": "choice", "type": "choices", "value": {"choices": [label]}}
    found = {"id": at, "was_cancelled": False, "ground_truth": False, "result": [part]}
    return {"id": at, "data": {"image": address}, "annotations": [found], "predictions": []}


def label_studio(address: str) -> bytes:
    return as_json(each(lambda at, name, label: task(at, address.format(name), label)))


def cvat(inner: str, *, subset: str = "") -> bytes:
    head = '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta/>'
    images = each(
        lambda at, name, label: (
            f'<image id="{at}" name="{name}" {subset} width="20" height="10">'
            f"{inner.format(label=label)}</image>"
        )
    )
    return (head + "".join(images) + "</annotations>").encode()


def voc(name: str, label: str) -> bytes:
    return (
        f"<annotation><folder>x</folder><filename>{name}</filename>"
        "<size><width>20</width><height>10</height><depth>3</depth></size>"
        f"<object><name>{label}</name><bndbox><xmin>2</xmin><ymin>1</ymin><xmax>12</xmax>"
        "<ymax>9</ymax></bndbox><part><name>head</name><bndbox><xmin>3</xmin><ymin>2</ymin>"
        "<xmax>4</xmax><ymax>3</ymax></bndbox></part></object></annotation>"
    ).encode()


def labelme(name: str, label: str, *, flags: bool = False) -> bytes:
    points = [[2, 1], [12, 9]]
    shape = {"label": label, "points": points, "shape_type": "rectangle", "flags": {}}
    return as_json(
        {
            "version": "5.4.1",
            "flags": {one: one == label for one in CLASSES} if flags else {},
            "shapes": [] if flags else [shape],
            "imagePath": name,
            "imageData": "A" * 100,
            "imageHeight": 10,
            "imageWidth": 20,
        }
    )


def datumaro(annotation: Callable[[int], dict[str, Any]], path: str = "{}") -> bytes:
    items = each(
        lambda at, name, label: {
            "id": name.partition(".")[0],
            "annotations": [annotation(CLASSES.index(label))],
            "image": {"path": path.format(name), "size": [10, 20]},
        }
    )
    labels = [{"name": name, "parent": ""} for name in CLASSES]
    categories = {"label": {"labels": labels, "attributes": []}}
    return as_json({"info": {}, "categories": categories, "items": items})


def coco() -> bytes:
    images = each(lambda at, name, _: {"id": at, "file_name": name, "width": 20, "height": 10})
    boxes = each(
        lambda at, _, label: {
            "id": at,
            "image_id": at,
            "category_id": CLASSES.index(label),
            "bbox": [2, 1, 10, 8],
        }
    )
    categories = [{"id": at, "name": name} for at, name in enumerate(CLASSES)]
    return as_json({"images": images, "annotations": boxes, "categories": categories})


def yolo(label: str) -> bytes:
    return f"{CLASSES.index(label)} 0.35 0.5 0.5 0.8\n".encode()


def stems(folder: str, suffix: str, make: Callable[[str, str], bytes]) -> dict[str, bytes]:
    return {
        f"{folder}{name.partition('.')[0]}{suffix}": make(name, label)
        for name, label in LABELS.items()
    }


def table(row: str, header: str = "") -> bytes:
    rows = each(lambda at, name, label: row.format(at=at, name=name, stem=name[:3], label=label))
    return "\n".join([header, *rows] if header else rows).encode()


DATA_YAML = b"train: ../train/images\nnc: 2\nnames: ['cat', 'dog']\n"
BLOCK_YAML = b"path: .\nnames:\n  0: cat\n  1: dog  # the other\n"
BOX = '<box label="{label}" xtl="2" ytl="1" xbr="12" ybr="9" occluded="0"/>'
POLYGON = '<polygon label="{label}" points="2,1;12,1;12,9;2,9"/>'

WHOLE: dict[str, Files] = {
    "label studio, uploaded": {
        **pictures("images/"),
        "export.json": label_studio("/data/upload/3/8fa61730-{}"),
    },
    "label studio, uploaded, with its names": {
        **{f"images/8fa61730-{name}": picture(name) for name in LABELS},
        "result.json": label_studio("/data/upload/3/8fa61730-{}"),
    },
    "label studio, local files": {
        **pictures("cells/"),
        "export.json": label_studio("/data/local-files/?d=cells/{}"),
    },
    "label studio, local files on top": {
        **pictures("cells/"),
        "export.json": label_studio("/data/local-files/?d={}"),
    },
    "label studio, s3": {**pictures("cells/"), "e.json": label_studio("s3://bucket/cells/{}")},
    "label studio, gs": {**pictures(), "e.json": label_studio("gs://bucket/cells/{}")},
    "label studio, signed": {
        **pictures(),
        "e.json": label_studio("https://bucket.s3.amazonaws.com/a/{}?X-Amz-Signature=ab/c"),
    },
    "label studio, json-min": {
        **pictures("images/"),
        "p.json": as_json(
            each(
                lambda at, name, label: {
                    "image": f"/data/upload/1/abcdef12-{name}",
                    "id": at,
                    "choice": label,
                    "annotator": 1,
                }
            )
        ),
    },
    "label studio, csv": {
        **pictures("images/"),
        "p.csv": table(
            "/data/upload/1/abcdef12-{name},{at},{label},1", "image,id,choice,annotator"
        ),
    },
    "cvat, tags": {
        **pictures("images/"),
        "annotations.xml": cvat('<tag label="{label}" source="manual"></tag>'),
    },
    "cvat, attributes": {
        **pictures("images/"),
        "annotations.xml": cvat('<tag label="{label}"><attribute name="a">b</attribute></tag>'),
    },
    "datumaro, labels": {
        **pictures("images/default/"),
        "annotations/default.json": datumaro(lambda at: {"type": "label", "label_id": at}),
    },
    "geti": {
        **pictures("images/default/"),
        "annotations/default.json": datumaro(
            lambda at: {"type": "label", "label_id": at}, "images/default/{}"
        ),
    },
    "labelme, flags": {
        **pictures("pics/"),
        **stems("pics/", ".json", lambda n, la: labelme(n, la, flags=True)),
    },
    "fiftyone": {
        **pictures("data/"),
        "labels.json": as_json(
            {"classes": CLASSES, "labels": {n[:3]: CLASSES.index(la) for n, la in LABELS.items()}}
        ),
    },
    "vertex, csv": {
        **pictures("imgs/"),
        "import.csv": table("TRAINING,gs://bucket/imgs/{name},{label}"),
    },
    "vertex, csv without use": {
        **pictures("imgs/"),
        "import.csv": table("gs://bucket/imgs/{name},{label}"),
    },
    "vertex, jsonl": {
        **pictures("imgs/"),
        "import.jsonl": lines(
            *each(
                lambda at, name, label: {
                    "imageGcsUri": f"gs://bucket/imgs/{name}",
                    "classificationAnnotation": {"displayName": label},
                }
            )
        ),
    },
    "ground truth": {
        **pictures("imgs/"),
        "output.manifest": lines(
            *each(
                lambda at, name, label: {
                    "source-ref": f"s3://bucket/{name}",
                    "kind": CLASSES.index(label),
                    "kind-metadata": {"class-name": label, "confidence": 0.9},
                }
            )
        ),
    },
    "azure ml": {
        **pictures("imgs/"),
        "train.jsonl": lines(
            *each(
                lambda at, name, label: {
                    "image_url": f"azureml://subscriptions/x/datastores/y/paths/imgs/{name}",
                    "image_details": {"format": "png"},
                    "label": label,
                }
            )
        ),
    },
    "mxnet lst": {**pictures("imgs/"), "train.lst": table("{at}\t{label}\timgs/{name}")},
    "text list": {**pictures("imgs/"), "train.txt": table("imgs/{name} {label}")},
    "headless csv": {**pictures("imgs/"), "labels.csv": table("{name},{label}")},
    "imagefolder, jsonl": {
        **pictures("train/"),
        "train/metadata.jsonl": lines(
            *each(lambda at, name, label: {"file_name": name, "label": label})
        ),
    },
    "kaggle, stems": {**pictures("train/"), "train.csv": table("{stem},{label}", "id,breed")},
    "kaggle, image_id": {
        **pictures("train_images/"),
        "train.csv": table("{stem},{label},{at}", "image_id,dx,age"),
    },
    "webdataset": {**pictures(), **stems("", ".cls", lambda _, label: label.encode())},
    "webdataset, json": {
        **pictures(),
        **stems("", ".json", lambda _, label: as_json({"label": label, "width": 20})),
    },
    "create ml, whole": {
        **pictures(),
        "annotations.json": as_json(
            each(lambda at, name, la: {"image": name, "annotations": [{"label": la}]})
        ),
    },
}
"""Each names one class a picture."""


def drawn(at: int, address: str, label: str) -> dict[str, Any]:
    place = {"x": 10, "y": 10, "width": 50, "height": 80, "rotation": 0}
    value = {**place, "rectanglelabels": [label]}
    part = {"from_name": "label", "type": "rectanglelabels", "value": value}
    part |= {"original_width": 20, "original_height": 10}
    return {"id": at, "data": {"image": address}, "annotations": [{"result": [part]}]}


BOXED: dict[str, Files] = {
    "label studio": {
        **pictures("images/"),
        "export.json": as_json(
            each(lambda at, n, la: drawn(at, f"/data/upload/1/12345678-{n}", la))
        ),
    },
    "coco": {**pictures("images/"), "result.json": coco()},
    "coco under another name": {**pictures("images/"), "my_export.json": coco()},
    "cvat, boxes": {**pictures("images/"), "annotations.xml": cvat(BOX)},
    "cvat, polygons": {**pictures("images/"), "annotations.xml": cvat(POLYGON)},
    "datumaro, boxes": {
        **pictures("images/default/"),
        "annotations/default.json": datumaro(
            lambda at: {"type": "bbox", "label_id": at, "bbox": [2, 1, 10, 8]}
        ),
    },
    "voc": {**pictures("JPEGImages/"), **stems("Annotations/", ".xml", voc)},
    "voc beside": {**pictures("train/"), **stems("train/", ".xml", voc)},
    "labelme": {**pictures("pics/"), **stems("pics/", ".json", labelme)},
    "yolo": {
        **pictures("train/images/"),
        **stems("train/labels/", ".txt", lambda _, label: yolo(label)),
        "data.yaml": DATA_YAML,
    },
    "yolo, ultralytics": {
        **pictures("images/train/"),
        **stems("labels/train/", ".txt", lambda _, label: yolo(label)),
        "data.yaml": BLOCK_YAML,
    },
    "yolo, classes.txt": {
        **pictures("images/"),
        **stems("labels/", ".txt", lambda _, label: yolo(label)),
        "classes.txt": b"cat\ndog\n",
    },
    "yolo, darknet": {
        **pictures("obj_train_data/"),
        **stems("obj_train_data/", ".txt", lambda _, label: yolo(label)),
        "obj.names": b"cat\ndog\n",
        "obj.data": b"classes = 2\nnames = data/obj.names\n",
        "train.txt": table("data/obj_train_data/{name}"),
    },
    "create ml": {
        **pictures(),
        "_annotations.createml.json": as_json(
            each(
                lambda at, name, la: {
                    "image": name,
                    "annotations": [
                        {"label": la, "coordinates": {"x": 7, "y": 5, "width": 10, "height": 8}}
                    ],
                }
            )
        ),
    },
    "csv of boxes": {
        **pictures(),
        "_annotations.csv": table(
            "{name},20,10,{label},2,1,12,9", "filename,width,height,class,xmin,ymin,xmax,ymax"
        ),
    },
    "open images": {
        **pictures("train/"),
        "boxes.csv": table(
            "{stem},x,{label},1,0.1,0.6,0.1,0.9",
            "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax",
        ),
    },
}
"""Each has a box a picture, from (2, 1) to (12, 9)."""
