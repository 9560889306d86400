"""What a model of several labels gets wrong: opened label by label, and mended."""

from __future__ import annotations

import json

from playwright.sync_api import expect

from tests.e2e.conftest import Service
from tests.e2e.console.conftest import Watched
from tests.e2e.console.rooms import train, upload
from tests.e2e.test_several_labels import archive

SUBJECTS = {"constructor": "the red car wins the race", "__proto__": "rain falls on the hill"}
"""Names that every object of JavaScript has."""


def test_classes_may_be_called_anything(console: Watched, live: Service) -> None:
    page, names = console.page, [*SUBJECTS, "toString"]
    rows = [
        {"text": f"{text}, number {at}", "labels": [name, "toString"] if at % 2 else [name]}
        for at in range(8)
        for name, text in SUBJECTS.items()
    ]
    data = "\n".join(json.dumps(row) for row in rows).encode()
    with live.client() as client:
        dataset = upload(client, data, "odd.jsonl", "odd names")
        model = train(client, dataset, "all-MiniLM-L6-v2", suffix="odd")["fine_tuned_model"]
    console.sign_in(live.key)
    console.open(f"/models/{model}")
    table = page.locator("table.labels")
    for name in names:
        expect(table.get_by_title(name, exact=True)).to_be_visible()
    slider = table.get_by_label("constructor: from which probability on it is given")
    slider.press("ArrowRight")
    expect(page.get_by_text("1 threshold is moved here")).to_be_visible()
    expect(page.get_by_text("thresholds=%7B%22constructor%22%3A")).to_be_visible()
    console.open(f"/try/{model}")
    page.get_by_label("Type or paste a text").fill("the red car wins, number 3")
    expect(page.locator(".answer")).to_contain_text("constructor")


WORDS = {
    "money": "refund invoice price discount bill payment fee tax",
    "travel": "train flight hotel airport luggage passport ferry bus",
    "food": "bread soup cheese salad pasta rice cake apple",
}
SENTENCES = (
    "the {} was a problem today",
    "I need help with my {}",
    "where can I find a {} here",
    "tell me about the {}",
    "is there another {} for me",
    "{} please, as soon as possible",
)


def doubtful() -> bytes:
    """Texts of one label each; but one says another, and one has one too many."""
    rows = [
        {"text": sentence.format(word), "labels": [label]}
        for label, words in WORDS.items()
        for word in words.split()
        for sentence in SENTENCES
    ]
    rows[0]["labels"], rows[-33]["labels"] = ["food", "money"], ["travel"]
    return "\n".join(map(json.dumps, rows)).encode()


def test_labels_that_look_wrong_are_mended_one_by_one(console: Watched, live: Service) -> None:
    """Two that are doubted of one example are one change; what is judged outlives the page."""
    page = console.page
    with live.client() as client:
        dataset = upload(client, doubtful(), "doubt.jsonl", "doubtful words")
        model = train(client, dataset, "all-MiniLM-L6-v2", suffix="doubt")["fine_tuned_model"]
        advice = client.get(f"/v1/models/{model}/evaluation").json()["advice"]
    suspects = advice["probably_mislabelled"]
    examples = {one["example_id"] for one in suspects}
    assert len(suspects) > len(examples) > 1, "of one example two labels are doubted"
    console.sign_in(live.key)
    console.open(f"/datasets/{dataset}")
    for left in range(len(suspects), 0, -1):
        said = f"{left} labels look wrong" if left > 1 else "1 label looks wrong"
        expect(page.get_by_role("heading", name=said)).to_be_visible()
        page.get_by_role("button", name="Relabel").first.click()
    make = page.get_by_role("button", name=f"Make version 2 with {len(examples)} changes")
    expect(make).to_be_visible()
    console.open("/jobs")
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    console.open(f"/datasets/{dataset}")
    page.reload()
    make.click()
    expect(page.get_by_text(f"{len(examples)} examples settled in version 2.")).to_be_visible()
    with live.client() as client:
        changed = client.get(f"/v1/datasets/{dataset}/examples?limit=1000").json()["data"]
    now = {one["id"]: set(one["labels"]) for one in changed}
    for one in suspects:
        assert (one["doubted"] in now[one["example_id"]]) == (
            one["doubted"] in one["suggested_labels"]
        )
    assert set(page.evaluate("Object.keys(sessionStorage)")) == {"headstart.key", "headstart.of"}


def test_mistakes_of_several_labels_are_opened_and_mended(console: Watched, live: Service) -> None:
    page = console.page
    with live.client() as client:
        dataset = upload(client, archive(4), "marks.zip", "few marks")
        job = train(client, dataset, "efficientnet_lite0", suffix="few-marks")
        model = job["fine_tuned_model"]
        url = f"/v1/models/{model}/evaluation/examples"
        rows = client.get(url, params={"limit": 1000}).json()["data"]
    wrong = [one for one in rows if one["labels"] != one["expected_labels"]]
    missed = {name for one in wrong for name in set(one["expected_labels"]) - set(one["labels"])}
    given = {name for one in wrong for name in set(one["labels"]) - set(one["expected_labels"])}
    console.sign_in(live.key)
    console.open(f"/models/{model}")
    room = page.locator("section").filter(
        has=page.get_by_role("heading", name="What it gets wrong", exact=True)
    )
    expect(room).to_contain_text(f"of {len(rows)};")
    for names, said in ((missed, "missed"), (given, "given, and not there")):
        for name in names:
            expect(room.get_by_role("button", name=f"{name} {said}", exact=True)).to_be_visible()
    if not wrong:  # nothing to open
        expect(room).to_contain_text("every label of every example is right")
        return
    room.locator(".tile").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("It is given")
    dialog.get_by_label("Add a label").fill("scratched")
    dialog.get_by_label("Add a label").press("Enter")
    expect(dialog.get_by_role("button", name="Take scratched away")).to_be_visible()
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Changed in version 2.")).to_be_visible()
    with live.client() as client:
        now = client.get(f"/v1/datasets/{dataset}").json()
    assert "scratched" in [one["label"] for one in now["classes"]]
