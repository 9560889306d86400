"""DICOM files as scanners write them, with a patient in every place that holds text."""

from __future__ import annotations

import io
from typing import Any

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

CANARY = "CANARY"
"""What stands in every text of a file that has a patient."""
JPEG, LOSSLESS, JPEG_LS, JPEG_2000 = (
    f"1.2.840.10008.1.2.4.{number}" for number in ("50", "70", "80", "90")
)
RLE = "1.2.840.10008.1.2.5"
IMPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"


def dicom(values: NDArray[Any], *, syntax: str = ExplicitVRLittleEndian, **told: Any) -> bytes:
    """One picture [h, w] or [h, w, 3], or several frames [n, h, w]; `told` are further elements."""
    dataset = _of(values, told)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    frames = values if dataset.get("NumberOfFrames") else values[None]
    if syntax in (ExplicitVRLittleEndian, IMPLICIT):
        dataset.PixelData = frames.tobytes() + b"\0" * (frames.nbytes % 2)
    elif syntax == BIG:
        dataset.PixelData = frames.astype(frames.dtype.newbyteorder(">")).tobytes()
        dataset["PixelData"].VR = "OW"
    elif syntax == RLE:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.PixelData = frames.tobytes()
        dataset.compress(RLE)
    else:
        dataset.PixelData = encapsulate([_packed(frame, syntax) for frame in frames])
        dataset["PixelData"].is_undefined_length = True
    out = io.BytesIO()
    order = {"implicit_vr": syntax == IMPLICIT, "little_endian": syntax != BIG}
    pydicom.dcmwrite(out, dataset, force_encoding=True, **order)
    return out.getvalue()


def _packed(frame: NDArray[Any], syntax: str) -> bytes:
    encode = {
        JPEG: lambda: imagecodecs.jpeg8_encode(frame, level=95),
        LOSSLESS: lambda: imagecodecs.jpeg8_encode(frame, lossless=True),
        JPEG_LS: lambda: imagecodecs.jpegls_encode(frame),
        JPEG_2000: lambda: imagecodecs.jpeg2k_encode(frame, level=0, codecformat="j2k"),
    }
    return bytes(encode[syntax]())


def _of(values: NDArray[Any], told: dict[str, Any]) -> FileDataset:
    colour = values.ndim == 3 and values.shape[2] == 3
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    dataset = FileDataset("", {}, file_meta=meta, preamble=CANARY.encode().ljust(128, b"\0"))
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.PatientName, dataset.PatientID = f"{CANARY}^Jane", f"{CANARY}-17"
    dataset.PatientBirthDate, dataset.StudyDescription = "19700101", CANARY
    dataset.add_new(0x00091001, "LO", CANARY)
    nested = Dataset()
    nested.PatientName, nested.LUTExplanation = CANARY, CANARY
    dataset.ReferencedStudySequence = Sequence([nested])
    dataset.add_new(0x60003000, "OB", CANARY.encode())
    dataset.Rows, dataset.Columns = values.shape[-3:-1] if colour else values.shape[-2:]
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    if values.ndim == 3 and not colour:
        dataset.NumberOfFrames = len(values)
    bits = values.dtype.itemsize * 8
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, int(values.dtype.kind == "i")
    dataset.WindowCenterWidthExplanation = CANARY
    for name, value in told.items():
        setattr(dataset, name, value)
    if "BitsStored" in told:
        dataset.HighBit = told["BitsStored"] - 1
    dataset.add_new(0xFFFCFFFC, "OB", CANARY.encode())
    return dataset


def grey(*, top: int = 4095, dtype: str = "u2", side: int = 64) -> NDArray[Any]:
    """A slope from black at the upper left to `top` at the lower right."""
    steps = np.add.outer(np.arange(side), np.arange(side)) / (2 * side - 2)
    return np.rint(steps * top).astype(dtype)
