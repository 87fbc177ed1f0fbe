import base64
import dataclasses
import json
import re

import pytest

from analysis.comparison import Comparison
from reporting.html import report, seen_images
from reporting.html.about import About
from reporting.html.report import LISTED, render_report
from reporting.html.scripts import SCRIPTS
from reporting.plots.draw import Shown, draw_all
from tests.comparisons import of_patients, renamed
from torch_lowrank.report import ParameterShares

EVIL = "<img src=x onerror=alert(1)>.jpg"
DASH = "\N{EN DASH}"


@pytest.fixture
def manifest() -> dict:
    split = {"images": 5, "mask_area_percent": {"p5": 0.25, "median": 2.125}}
    return {
        "image_size": [128, 128],
        "multi_class": False,
        "categories": {"1": "tumor"},
        "splits": {"train": split, "valid": split, "test": {**split, "extra": None}},
        "duplicates_across_splits": [],
        "refused": [{"split": "train", "file_name": EVIL, "image_id": 3, "reason": "the polygon has 2 points"}],
        "warnings": ["2 images occur in train and in test"],
    }


def test_the_answer_comes_first(page, results):
    text = page(results).text
    assert text.index("budget_0.25 keeps 99.5 % of the Dice") < text.index("Variants")


def test_every_variant_and_its_numbers_are_in_the_table(page, results):
    text = page(results).text
    for result in results:
        assert result.name in text
        assert f"{result.cost.params:,}" in text
    numbers = f"{DASH} {DASH} {DASH}"
    interval = r"0\.\d{3} to 0\.\d{3}"
    change = r"-0.006 \* -0.00\d to -0.00\d"
    cost = "92.5 356,193 57.5 1.42 21.4 M same 0.98 to 1.02 12.50 ms"
    line = rf"svd_rank_32 0.7710 {interval} {change} {cost} 0.6273 {interval} 0.9771 {numbers}"
    assert re.search(line, text)


def test_pictures_are_inside_and_nothing_is_requested(page, results, history, manifest):
    pictures = draw_all(Shown(Comparison(results[:1]), [history]))
    made = page(results, history, manifest, {"seed": 1}, pictures, {"command": "python run_pipeline.py"})
    assert [image["src"][:22] for image in made.all("img")] == ["data:image/png;base64,"] * len(pictures)
    assert pictures
    assert all(image["alt"] for image in made.all("img"))
    for _, attributes in made.tags:
        for name in ("src", "href", "action", "srcset", "data"):
            assert "//" not in (attributes.get(name) or "").partition("base64,")[0]
    assert made.all("link") == []
    policy = [meta.get("content", "") for meta in made.all("meta") if "http-equiv" in meta]
    assert policy and policy[0].startswith("default-src 'none'")


def test_what_comes_from_the_data_is_text_wherever_it_stands(page, results, manifest):
    hostile = [renamed(result, f"{result.method}{EVIL}") for result in results]
    layers = [dataclasses.replace(results[0].layers[0], name=EVIL, skipped=EVIL)]
    hostile[0] = dataclasses.replace(hostile[0], layers=layers)
    manifest |= {"warnings": [EVIL, {EVIL: EVIL}], EVIL: [EVIL], "categories": {EVIL: EVIL, "b": {EVIL: [EVIL]}}}
    made = page(hostile, {"best_epoch": EVIL}, manifest, {EVIL: {"a": EVIL}}, provenance={"command": EVIL})
    assert made.all("img") == []
    assert not any(name.startswith("on") for _, attributes in made.tags for name in attributes)
    scripts = [attributes for attributes in made.all("script") if "type" not in attributes]
    assert len(scripts) == 1 + len(SCRIPTS), "none but the page's own"
    assert made.text.count(EVIL) > 10


def test_the_manifest_is_shown_with_warnings_and_refused_samples(page, results, manifest):
    text = page(results, manifest=manifest).text
    assert "2 images occur in train and in test" in text
    assert "1 refused sample " in text
    assert EVIL in text
    assert "train valid test images 5 5 5" in text
    assert "median 2.125" in text
    assert "duplicates across splits none" in text


def test_what_was_read_although_it_is_irregular_is_said(page, baseline):
    text = page([baseline], manifest={"notes": ["iscrowd is null: <b>read</b> as 0"], "image_size": [8, 8]}).text
    assert "iscrowd is null: <b>read</b> as 0" in text


def test_single_samples_are_left_to_the_manifest_file(page, baseline):
    split = {"images": 1, "samples": [{"file_name": "one.jpg", "image_id": 1}]}
    text = page([baseline], manifest={"splits": {"train": split, "odd": 3}}).text
    assert "images 1" in text
    assert "one.jpg" not in text


def test_long_lists_are_cut_and_counted(page, baseline):
    refused = [{"file_name": f"{i}.jpg", "reason": "broken"} for i in range(LISTED + 7)]
    text = page([baseline], manifest={"refused": refused, "ids": list(range(LISTED + 3))}).text
    assert f"{LISTED + 7} refused samples" in text
    assert f"{LISTED - 1}.jpg" in text
    assert f"{LISTED}.jpg" not in text
    assert "and 7 more" in text
    assert "and 3 more" in text


def test_a_page_holds_the_numbers_of_the_images_and_patients_that_it_shows(baseline, result, manifest, monkeypatch):
    monkeypatch.setattr(seen_images, "MOST_IMAGES", 3)
    monkeypatch.setattr(report, "LISTED", 2)
    known = of_patients([baseline, result("svd", 8, 0.7, 400_000)], 11)
    full, own = (each.per_image["dice"] for each in known)
    text = render_report(Comparison(known), About({}, manifest, {}, {}), {}).decode()
    data = json.loads(re.search(r'id="data"[^>]*>(.*?)</script>', text, re.DOTALL).group(1))
    by_loss = sorted(range(len(full)), key=lambda row: (-abs(own[row] - full[row]), row))
    assert data["rows"] == sorted(by_loss[:3])
    assert [image["name"] for image in data["images"]] == [f"image {row} of the split" for row in data["rows"]]
    listed = set(re.findall(r'data-group="([^"]+)"', text))
    assert len(listed) == 2
    for each, variant in zip(known, data["variants"], strict=True):
        assert variant["image_dice"] == [round(each.per_image["dice"][row], 4) for row in data["rows"]]
        assert set(variant["groups"]) == listed


def test_layers_say_rank_error_and_why_they_stay_dense(page, result):
    text = page([result("svd", 16, 0.7, 200_000)]).text
    assert "svd_rank_16: 6 of 8 layers factorised" in text
    assert "inc.double_conv.3 Conv2d channel 4 / 16 2,304 550 32 0.7615" in text
    assert "inc.double_conv.0 Conv2d dense / 9 144 144 32 0.0000 saves nothing" in text


def test_configuration_and_provenance_are_shown(page, results):
    config = {"seed": 42, "verbose": False, "data_root": None, "training": {"lr": 4e-3, "epochs": 12}}
    text = page(results, config=config, provenance={"git_commit": "ff551ca", "torch": "2.9"}).text
    for expected in ("seed 42", "verbose no", f"data_root {DASH}", "lr 0.004", "git_commit ff551ca", "torch 2.9"):
        assert expected in text


def test_baseline_alone_and_nothing_else_known_makes_a_page(page, baseline):
    made = page([baseline])
    assert "Only the baseline was evaluated" in made.text
    assert "No manifest of the data was recorded" in made.text
    assert "Charts" not in made.text
    assert "Where compression fails" not in made.text


def test_a_value_that_is_missing_is_a_dash_and_sorts_last(page, baseline):
    made = page([dataclasses.replace(baseline, metrics={})])
    assert [cell["data-value"] for cell in made.all("td")][:2] == ["", ""]
    assert f"baseline {DASH}" in made.text
    assert [cell["data-value"] for cell in made.all("td")][8] == ""


def test_the_most_telling_picture_comes_first_with_its_caption(page, baseline):
    made = page([baseline], pictures={"training": b"two", "dice_vs_params": b"one"})
    assert [base64.b64decode(image["src"].partition("base64,")[2]) for image in made.all("img")] == [b"one", b"two"]
    assert made.text.index("Dice against parameters: the further up") < made.text.index(
        "Training of the baseline, or every training"
    )


def test_a_recovered_variant_shows_what_it_was_before(page, results, recovered_results):
    made = page(recovered_results)
    rank_32 = next(result for result in recovered_results if result.name == "svd_rank_32")
    dice = rank_32.metrics["dice_lesion_before_recovery"]
    assert f"356,193 57.5 1.42 21.4 M same 0.98 to 1.02 12.50 ms {dice:.4f} 0.6273" in made.text
    assert "time Dice before IoU pixel accuracy" in made.text
    assert f"{DASH} 0.6351" in made.text
    assert "Dice before" not in page(results).text


def test_times_are_relative_with_intervals_and_no_difference_is_shown_as_none(page, baseline, result):
    others = [result("svd", rank, 0.7, 1000, ms) for rank, ms in ((4, 5.0), (8, 12.3))]
    made = page([baseline, *others])
    assert "0.40 0.39 to 0.41 5.00 ms" in made.text
    assert "same 0.96 to 1.00 12.30 ms" in made.text
    assert "Time: of one image on a processor, 2 threads" in made.text
    assert "Same: within 0.9 to 1.1. Unclear: the interval is too wide to say." in made.text
    assert "the machine was busy" not in made.text
    wide = dataclasses.replace(others[0].latency, ratio=0.9, low=0.69, high=1.12)
    unclear = page([baseline, dataclasses.replace(others[0], latency=wide)])
    assert "unclear 0.69 to 1.12" in unclear.text
    assert "Times are unclear: the machine was busy." in unclear.text
    sorted_by = [cell["data-value"] for cell in made.all("td") if "data-value" in cell]
    assert "0.4" in sorted_by
    assert not any(value.startswith("0.984") for value in sorted_by), "12.3 / 12.5 is told apart by its place"
    untimed = page([dataclasses.replace(baseline, latency=None)])
    assert "Milliseconds" not in untimed.text


def test_it_says_that_images_count_as_independent_where_patients_are_not_known(page, results):
    text = page(results).text
    assert "They take images as independent" in text
    assert "over patients" not in text
    assert "Dice a patient" not in text


def test_it_says_over_how_many_patients_intervals_are_and_shows_their_dice(page, results, manifest):
    known = of_patients(results, 11)
    text = page(known, manifest=manifest).text
    assert "5 test images of 11 patients" in text
    assert "95 % bootstrap intervals over 11 patients with a lesion, each drawn with all its images" in text
    assert "independent" not in text
    assert "Dice a patient" in text
    assert f"{known[0].metrics['dice_patient']:.4f}" in text


@pytest.mark.parametrize(("noun", "nouns"), [("volume", "volumes"), ("series", "series")])
def test_what_is_no_patient_is_not_called_one(page, results, manifest, noun, nouns):
    manifest |= {"group_noun": noun, "shared_groups": [{"group": "a", "images": {"train": 2, "test": 1}}]}
    text = page(of_patients(results, 11, noun), manifest=manifest).text
    assert f"5 test images of 11 {nouns}" in text
    assert f"95 % bootstrap intervals over 11 {nouns} with a lesion" in text
    assert f"Dice a {noun}: the mean over {nouns}" in text
    assert f"1 {nouns} with images in several splits" in text
    assert "patient" not in text.replace("dice_patient", "")


def test_what_splits_share_is_listed_on_demand(page, results, manifest):
    manifest |= {
        "near_duplicates": [{"files": ["train/a.png", "test/b.png"], "correlation": 0.99}],
        "shared_groups": [{"group": EVIL, "images": {"train": 2, "test": 1}}],
    }
    made = page(results, manifest=manifest)
    assert "1 images that are nearly equal to one of another split" in made.text
    assert "train/a.png, test/b.png" in made.text
    assert "1 patients with images in several splits" in made.text
    assert EVIL in made.text


def test_another_network_is_named_with_what_share_of_it_can_be_factorised(page, baseline):
    shares = ParameterShares(0.9, {"normalisation": 0.1})
    config = {"model": {"network": "monai.networks.nets.BasicUNet", "arguments": {"features": [8, 8]}}}
    text = page([dataclasses.replace(baseline, factorizable=shares)], config=config).text
    assert "monai.networks.nets.BasicUNet" in text
    assert "90 % of the parameters can be factorised; not: normalisation 10 %" in text


def test_the_dice_that_the_best_epoch_was_chosen_by_is_named(page, baseline):
    history = {"best_epoch": 7, "best_valid_dice": 0.8, "best_valid_dice_lesion": 0.6}
    text = page([baseline], history).text
    assert "best epoch 7 valid Dice of the best epoch 0.6 valid Dice of the best epoch, all images 0.8" in text
    older = page([baseline], {"best_epoch": 7, "best_valid_dice": 0.8, "best_valid_dice_lesion": None}).text
    assert "best epoch 7 valid Dice of the best epoch 0.8" in older
    assert "all images" not in older.partition("Training epochs")[2]


def test_a_network_with_two_names_is_noted(page, baseline, result):
    twins = [result("budget", share, 0.7, 1000) for share in (0.25, 0.125)]
    assert "budget_0.125 is the same network as budget_0.25." in page([baseline, *twins]).text
    assert "same network" not in page([baseline, twins[0]]).text


def test_missed_lesions_and_false_alarms_are_listed_apart(page, baseline, result):
    areas = [9.0] * 40 + [0.0] * 10
    full = {"dice": [0.8] * 39 + [0.0] + [0.0] * 5 + [1.0] * 5, "lesion_px": areas}
    blind = {"dice": [0.8, 0.9, 0.7] + [0.0] * 37 + [1.0] * 9 + [0.0], "lesion_px": areas}
    made = [
        dataclasses.replace(each, per_image=each_values | {"iou": each_values["dice"]})
        for each, each_values in ((baseline, full), (result("svd", 2, 0.1, 10), blind))
    ]
    samples = [{"file_name": f"{number}.png"} for number in range(50)]
    text = page(made, manifest={"splits": {"test": {"samples": samples}}}).text
    assert (
        "svd_rank_2: of 40 images with a lesion 37 lose and 1 gain more than 0.01 in Dice, 37 are missed "
        "(baseline: 1); of 10 images without one, 1 have a false alarm (baseline: 5)"
    ) in text
    ten = ", ".join(f"{number}.png" for number in range(3, 13))
    assert f"Missed, and found by the baseline: {ten} and 26 more" in text
    assert "Missed by the baseline, too: 39.png" in text
    assert "False alarms, and none by the baseline: 49.png" in text
    assert "False alarms by the baseline, too" not in text
    assert "2.png 9 0.800 0.700 -0.100" not in text, "ten larger losses come first"


def test_areas_of_masks_say_that_they_are_percentiles(page, baseline):
    splits = {"test": {"images": 3, "mask_area_percent": {"5": 1.57, "50": 4.0}}, "odd": {"mask_area_percent": None}}
    text = page([baseline], manifest={"splits": splits}).text
    assert "percentile 5: 1.57 percentile 50: 4" in text


def test_networks_of_a_size_stand_beside_what_else_fits_into_their_bytes(page, few_bits):
    text = page(few_bits).text
    section = text[text.index("At equal bytes") :]
    assert "10 % size_0.1 0.335 0.7750" in section
    assert re.search(r"budget_0\.25_w8 0\.209 0\.7728 \+0\.00\d \* ", section), "the largest that fits is the best"
    assert "svd_rank_16_w8 0.192" in section[: section.index("5 % size_0.05")]
    assert "At equal bytes" not in page(few_bits[:-2]).text
