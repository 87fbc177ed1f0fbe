"""Recognises which layout a data set has, by the names of its files."""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from dataset.errors import DatasetError, combined_error
from dataset.layout import ANNOTATION_FILE, SPLITS
from dataset.layouts.coco_files import coco_files
from dataset.layouts.coco_splits import CocoSplits
from dataset.layouts.dicom import DicomSeries
from dataset.layouts.file_roles import DICOM, NIFTI, has_ending
from dataset.layouts.layout import Layout, Wanted
from dataset.layouts.nifti import NiftiVolumes
from dataset.layouts.paired_files import PairedFiles
from dataset.layouts.picture_files import PictureFiles
from dataset.layouts.units import Kind
from dataset.message_text import escaped
from dataset.sources.source import Source
from dataset.sources.split_names import SPLIT_FOLDERS

_SHOWN = 6  # files and folders in a message
_KNOWN = """these (docs/your-data.md shows each):
  coco     train/, valid/, test/, each with _annotations.coco.json and its images
  coco     annotations/instances_train.json, instances_val.json, instances_test.json, and folders of images
  coco     one COCO file at the top or in annotations/, and a folder of images
  masks    images/x.png with masks/x.png, or x.tif with x_mask.tif, also in folders of patients or splits
  volumes  images/x.nii.gz with labels/x.nii.gz, or x.nii.gz with x_seg.nii.gz, also in folders of patients
  volumes  series/slice.dcm with masks/series/slice.png, or slice.dcm with slice_mask.png"""


def recognise(source: Source, wanted: Wanted) -> Layout:
    """Returns the layout of a data set.

    COCO in split folders is told by their annotation files, and nothing else is looked at then. For any other layout
    all files are listed, and none is read but the beginnings of JSON files.

    Args:
        source: Where the data set lies.
        wanted: What the caller says about it.

    Raises:
        DatasetError: It fits no layout, or several; or files cannot be listed.
    """
    if wanted.format in ("auto", "coco") and _has_annotated_split(source):
        return CocoSplits(source)
    unreadable: list[str] = []
    names = sorted(source.names(unreadable))
    if unreadable:
        raise combined_error(unreadable)
    coco = coco_files(source, names) if wanted.format in ("auto", "coco") else None
    kinds = [kind for kind in _kinds(wanted) if any(has_ending(name, kind.images) for name in names)]
    paired = [PairedFiles(source, names, kind, wanted) for kind in kinds]
    fitting: list[Layout] = [each for each in paired if each.fits]
    if coco is not None:
        fitting.append(coco)
    if not fitting and all(any(has_ending(name, kind) for name in names) for kind in (DICOM, NIFTI)):
        raise DatasetError(
            f"{source.location()} has DICOM series and no mask files for their slices: convert series that have masks "
            "in NIfTI to NIfTI too (for example by dcm2niix), and give both as volumes"
        )
    if not fitting:  # masks without images are told as such
        fitting += [each for each in paired if each.has_masks][:1]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        listed = "\n".join(f"  {layout.sentence}" for layout in fitting)
        raise DatasetError(
            f"{source.location()} fits {len(fitting)} layouts; say which is meant by data.format=coco, masks or "
            f"volumes, or give a folder that holds one of them:\n{listed}"
        )
    if wanted.format in ("auto", "coco") and any(source.has_folder(split) for split in SPLITS) and not _others(names):
        return CocoSplits(source)  # whose faults `read` reports
    raise _unknown(source, names, wanted)


def _has_annotated_split(source: Source) -> bool:
    """Returns whether a split folder has an annotation file, or what is called so."""
    for split in (name for names in SPLIT_FOLDERS.values() for name in names):
        if source.has_folder(split):
            try:
                source.open(f"{split}/{ANNOTATION_FILE}").close()
            except FileNotFoundError:
                continue
            except OSError:
                return True
            return True
    return False


def _kinds(wanted: Wanted) -> list[Kind]:
    """Returns the kinds of image and mask files that a data set may hold."""
    pictures: list[Kind] = [PictureFiles()] if wanted.format in ("auto", "masks") else []
    volumes: list[Kind] = [NiftiVolumes(wanted.axis, wanted.modality), DicomSeries()]
    return pictures + volumes if wanted.format in ("auto", "volumes") else pictures


def _others(names: Sequence[str]) -> bool:
    """Returns whether there are volumes, which nobody means to annotate by COCO."""
    return any(has_ending(name, (*NIFTI, *DICOM)) for name in names)


def _unknown(source: Source, names: Sequence[str], wanted: Wanted) -> DatasetError:
    """Returns the error for a folder that fits no layout; says what is in it."""
    folders = sorted({name.partition("/")[0] + "/" for name in names if "/" in name})
    files = [name for name in names if "/" not in name]
    first = [*folders, *files][:_SHOWN]
    kinds = Counter("".join(PurePosixPath(name).suffixes[-1:]) or "no ending" for name in names)
    counts = ", ".join(f"{count} {escaped(kind)}" for kind, count in kinds.most_common(_SHOWN))
    found = f"{', '.join(map(escaped, first))}{', ...' if len(folders) + len(files) > _SHOWN else ''} ({counts})"
    what = "no layout that is known" if wanted.format == "auto" else f"no layout of data.format={wanted.format}"
    return DatasetError(
        f"{source.location()} fits {what}; found: {found if names else 'nothing'}. Give the folder that holds the "
        f"data, or arrange it as one of {_KNOWN}"
    )
