"""Finds what several splits share, so that a network is tested on what it was trained on, and says so."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dataset.leaks.near_duplicates import near_duplicates
from dataset.manifest import Duplicate, NearDuplicate, SharedGroup, SplitSummary
from dataset.message_text import counted, escaped, shortened
from dataset.split_statistics import SplitStatistics

_NAMED = 3  # patients or pairs in a warning


@dataclass(frozen=True)
class Leaks:
    """What several splits share.

    Attributes:
        duplicates: Images whose stored pixels are equal.
        near_duplicates: Images that are nearly equal; without those in `duplicates`.
        shared_groups: Patients with images in several splits.
    """

    duplicates: list[Duplicate]
    near_duplicates: list[NearDuplicate]
    shared_groups: list[SharedGroup]

    def warnings(
        self, splits: Mapping[str, SplitSummary], folders: Mapping[str, str] | None = None, noun: str = "patient"
    ) -> list[str]:
        """Returns what a user should know, in sentences.

        Args:
            splits: Summary of every split, for how many images it has.
            folders: The folder of each split that lies in one of another name; "" where names hold all folders.
            noun: What groups of images are; see `dataset.groups.group_noun`.
        """
        folders = folders or {}
        found = []
        if self.duplicates:
            files = [duplicate.files for duplicate in self.duplicates]
            leaking = _leaking([[_split(file) for file in own] for own in files])
            first = " and ".join(_place(file, folders) for file in files[0][:_NAMED])
            found.append(
                f"{_images(len(files))} in more than one split, so {leaking} ({first}); dataset_manifest.json lists all"
            )
        if self.near_duplicates:
            found.append(self._near(splits, folders))
        if self.shared_groups:
            found.append(self._groups(noun))
        return found

    def _near(self, splits: Mapping[str, SplitSummary], folders: Mapping[str, str]) -> str:
        images = dict.fromkeys(pair.files[1] for pair in self.near_duplicates)  # one of test may be like two
        alike = Counter(map(_split, images))
        counts = " and ".join(f"{alike[split]} of {splits[split].images} images of {split}" for split in alike)
        first = sorted(self.near_duplicates, key=lambda pair: -pair.correlation)[:_NAMED]
        pairs = "; ".join(" and ".join(_place(each, folders) for each in pair.files) for pair in first)
        leaking = _leaking([[_split(file) for file in pair.files] for pair in self.near_duplicates])
        return (
            f"{counts} are nearly equal to one of another split, perhaps turned, mirrored or the next slice, so "
            f"{leaking} ({pairs}); dataset_manifest.json lists all"
        )

    def _groups(self, noun: str) -> str:
        few = self.shared_groups[:_NAMED]
        first = "; ".join(f"{_shown(shared.group)} in {' and '.join(shared.images)}" for shared in few)
        many = f"{counted(len(self.shared_groups), noun)} {'has' if len(few) == 1 else 'have'}"
        leaking = _leaking([[*shared.images] for shared in self.shared_groups])
        return f"{many} images in more than one split, so {leaking} ({first}); dataset_manifest.json lists all"


def _leaking(shared: Sequence[Sequence[str]]) -> str:
    """Returns what is not to be trusted, by the splits that share each image or patient.

    Only what test shares with another split makes figures of test too good. What train and valid share makes the choice
    by valid (the epoch, the recommended network) one by images that were learned.
    """
    tested = any("test" in splits for splits in shared)
    return "the test leaks" if tested else "the choice of the network by valid leaks"


def _split(file: str) -> str:
    return file.split("/", 1)[0]


def _place(file: str, folders: Mapping[str, str]) -> str:
    """Returns a file under its own name, with its split where that is not its folder."""
    split, _, name = file.partition("/")
    folder = folders.get(split, split)
    place = _shown(f"{folder}/{name}" if folder else name)
    return place if folder == split else f"{place} of {split}"


def _images(number: int) -> str:
    return f"{counted(number, 'image')} {'occurs' if number == 1 else 'occur'}"


def find_leaks(statistics: Mapping[str, SplitStatistics]) -> Leaks:
    """Compares the stored images of all splits.

    Args:
        statistics: Of each split, in the order train, valid, test.
    """
    duplicates = _duplicates(statistics)
    return Leaks(duplicates, _near_duplicates(statistics, duplicates), _shared_groups(statistics))


def _duplicates(statistics: Mapping[str, SplitStatistics]) -> list[Duplicate]:
    files: dict[bytes, list[tuple[str, str]]] = defaultdict(list)
    for split, part in statistics.items():
        for row, sample in enumerate(part.samples):
            files[part.digest(row)].append((split, sample.file_name))
    return [
        Duplicate(digest.hex(), [f"{split}/{name}" for split, name in places])
        for digest, places in files.items()
        if len({split for split, _ in places}) > 1
    ]


def _near_duplicates(statistics: Mapping[str, SplitStatistics], duplicates: list[Duplicate]) -> list[NearDuplicate]:
    equal = {file for duplicate in duplicates for file in duplicate.files}
    found = []
    for match in near_duplicates({split: part.thumbnails for split, part in statistics.items()}):
        places = zip(match.splits, match.rows, strict=True)
        files = [f"{split}/{statistics[split].samples[row].file_name}" for split, row in places]
        if not equal.issuperset(files):
            found.append(NearDuplicate(files, round(match.correlation, 4)))
    return found


def _shared_groups(statistics: Mapping[str, SplitStatistics]) -> list[SharedGroup]:
    images: dict[str, Counter[str]] = defaultdict(Counter)
    for split, part in statistics.items():
        for sample in part.samples:
            if sample.group is not None:
                images[sample.group][split] += 1
    return [SharedGroup(group, dict(counts)) for group, counts in sorted(images.items()) if len(counts) > 1]


def _shown(name: str) -> str:
    return shortened(escaped(name))
