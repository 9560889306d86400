"""The feature spaces: lengths, whitening, the one transform."""

from __future__ import annotations

import torch

from app.core.backbones import EFFICIENTNET, pyramid
from tests.unit.worker.ml.tasks import LAYOUT, WIDTH
from worker.ml.features import spaces, whitening
from worker.ml.features.spaces import Channel, PartTransform
from worker.ml.features.whitening import Statistics


def rows(n: int = 9, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(seed)).abs()


def statistics() -> Statistics:
    sample = rows(200, seed=1)
    found = {b: whitening.whiten(sample[:, b.start : b.stop], 3) for b in whitening.late(LAYOUT)}
    return Statistics("made-up", found)


def test_every_space_but_raw_has_rows_of_length_one() -> None:
    for transform in (PartTransform(LAYOUT, None), PartTransform(LAYOUT, statistics())):
        for space in ("last", "late", "all"):
            found = transform(space, rows()).norm(dim=1)
            torch.testing.assert_close(found, torch.ones(9))


def test_late_is_each_block_whitened_of_length_one_and_weighted() -> None:
    known = statistics()
    x = rows()
    parts = []
    levels = sorted({block.level for block in whitening.late(LAYOUT)})
    for block in whitening.late(LAYOUT):
        weight = [0.6, 1.0, 1.6][levels.index(block.level)]
        whitened = known.whitening[block](x[:, block.start : block.stop])
        parts.append(weight * spaces.unit(whitened))
    expected = spaces.unit(torch.cat(parts, 1))
    torch.testing.assert_close(
        PartTransform(LAYOUT, known)("late", x), expected, atol=1e-5, rtol=1e-4
    )


def test_whitening_is_the_power_of_the_covariance() -> None:
    sample = torch.randn(500, 6, generator=torch.Generator().manual_seed(2)) * torch.arange(1, 7)
    found = whitening.whiten(sample, 6)
    covariance = torch.cov(sample.T, correction=0).double()
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors @ torch.diag((values + 0.02 * values.mean()) ** -0.25) @ vectors.T
    expected = (sample - sample.mean(0)) @ root.float()
    torch.testing.assert_close(found(sample), expected, atol=1e-3, rtol=1e-3)


def test_channels_average_views() -> None:
    transform = PartTransform(LAYOUT, None)
    features = {"squish": rows(seed=3), "mirror": rows(seed=4)}
    channel = Channel("late", ("squish", "mirror"))
    found = transform.channels(features, [channel, channel])[channel]
    expected = (transform("late", features["squish"]) + transform("late", features["mirror"])) / 2
    torch.testing.assert_close(found, expected)


def test_a_weight_on_the_look_is_one_on_late() -> None:
    for transform in (PartTransform(LAYOUT, None), PartTransform(LAYOUT, statistics())):
        x, weight = rows(), torch.randn(12, 3, generator=torch.Generator().manual_seed(5))
        look = transform.novelty({"squish": x})
        torch.testing.assert_close(look, transform("look", x))
        expected = look @ weight
        torch.testing.assert_close(transform("late", x) @ transform.lift("look", weight), expected)


def test_the_ramp_is_the_recipes_for_five_levels() -> None:
    assert {b.level for b in whitening.late(EFFICIENTNET.layout)} == {3, 4, 5, 6, 7}
    transform = PartTransform(pyramid((3, 3, 3)), None)
    assert len(whitening.late(transform.layout)) == 6


def test_shipped_statistics_are_small_and_fit_only_their_weights() -> None:
    files = list(whitening.FOLDER.glob("*.safetensors"))
    assert any(path.name.startswith("efficientnet_lite0.") for path in files)
    assert all(path.stat().st_size < 3_000_000 for path in files)
    assert whitening.find("efficientnet_lite0", "0" * 64) is None


def test_a_weight_on_a_part_of_late_is_one_on_late() -> None:
    for transform in (PartTransform(LAYOUT, None), PartTransform(LAYOUT, statistics())):
        x = rows(5)
        for space in ("mid", "top"):
            part = transform(space, x)
            assert part.shape[1] == transform.width(space)
            torch.testing.assert_close(part.norm(dim=1), torch.ones(5))
            weight = torch.randn(part.shape[1], 3, generator=torch.Generator().manual_seed(1))
            torch.testing.assert_close(
                transform("late", x) @ transform.lift(space, weight),
                part @ weight,
                atol=1e-4,
                rtol=1e-3,
            )
        widths = [transform.width(space) for space in ("mid", "top")]
        assert sum(widths) == transform("late", x).shape[1]
