"""Writes small data sets of image and mask files."""

import gzip
from pathlib import Path
from typing import Any

import cv2
import nibabel
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SIDE = 24
SPLIT = (0.5, 0.25, 0.25)


def picture(seed: int, side: int = SIDE, depth: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(depth).max, (side, side)).astype(depth)


def mask(value: int = 255, side: int = SIDE, wide: int = 8) -> np.ndarray:
    drawn = np.zeros((side, side), np.uint8)
    drawn[4:12, 3 : 3 + wide] = value
    return drawn


def write(path: Path, pixels: np.ndarray) -> Path:
    """Writes a picture of the kind that the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
    return path


def patients(root: Path, count: int = 6, slices: int = 3) -> Path:
    """Writes a folder a patient, each with TIFF pairs; the first slice of each has no lesion."""
    for i in range(count):
        for j in range(slices):
            stem = root / f"TCGA_{i:02d}" / f"TCGA_{i:02d}_{j}"
            write(stem.with_suffix(".tif"), picture(100 * i + j))
            write(stem.with_name(f"{stem.name}_mask.tif"), mask() if j else mask(0))
    return root


def folders(root: Path, count: int = 8, values: tuple[int, ...] = (255,)) -> Path:
    """Writes `images/` and `masks/`, whose masks hold one of the values each in turn."""
    for i in range(count):
        write(root / "images" / f"{i}.png", picture(i))
        write(root / "masks" / f"{i}.png", mask(values[i % len(values)]))
    return root


def volume(path: Path, array: np.ndarray, **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, more.get("affine", np.eye(4))), path)
    return path


def volumes(root: Path, count: int = 4, shape: tuple[int, int, int] = (20, 24, 5)) -> dict[str, tuple[np.ndarray, ...]]:
    """Writes `imagesTr/` and `labelsTr/`; returns image and label of each volume."""
    written = {}
    for i in range(count):
        rng = np.random.default_rng(i)
        image = rng.integers(-500, 2000, shape).astype(np.int16)
        label = np.zeros(shape, np.uint8)
        label[3:9, 4:12, 1:4] = 1
        label[10:15, 4:12, 2] = 2
        volume(root / "imagesTr" / f"case_{i}.nii.gz", image)
        volume(root / "labelsTr" / f"case_{i}.nii.gz", label)
        written[f"case_{i}"] = (image, label)
    return written


def cut_gzip(path: Path, share: float) -> None:
    """Cuts off the end of a compressed file's content, and compresses it whole."""
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content[: int(len(content) * share)]))


def dicom(path: Path, pixels: np.ndarray, position: float, series: str, **tags: Any) -> Path:
    """Writes one slice: signed 16 bit, slope 2, intercept -1024."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header = Dataset()
    header.file_meta = meta
    header.SOPClassUID, header.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    header.SeriesInstanceUID = series
    header.Rows, header.Columns = pixels.shape
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit, header.PixelRepresentation = 15, 1
    header.RescaleSlope, header.RescaleIntercept = 2, -1024
    header.ImagePositionPatient, header.ImageOrientationPatient = [0, 0, position], [1, 0, 0, 0, 1, 0]
    header.PixelData = pixels.astype(np.int16).tobytes()
    for name, value in tags.items():
        setattr(header, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    header.save_as(path, enforce_file_format=True)
    return path


def series(root: Path, count: int = 4, slices: int = 3, **tags: Any) -> dict[str, np.ndarray]:
    """Writes a folder a series, last slice first in space, and masks in `masks/`; returns what the slices hold."""
    written = {}
    for i in range(count):
        uid = generate_uid()
        for j in range(slices):
            name = f"patient_{i}/IM{j}"
            pixels = np.random.default_rng(10 * i + j).integers(0, 1000, (SIDE, SIDE))
            dicom(root / f"{name}.dcm", pixels, -5.0 * j, uid, **tags)
            write(root / "masks" / f"{name}.png", mask(wide=4 + j))
            written[f"{name}.dcm"] = pixels
    return written
