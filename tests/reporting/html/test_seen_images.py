"""Which test images a page holds, and how."""

import base64

import cv2
import numpy as np
import pytest

from analysis.comparison import Comparison
from reporting.html import seen_images
from reporting.html.opening import COLORS, error_overlay, opening_panels
from reporting.html.seen_images import SeenImages, held_sentence, images_of_page, picture
from tests.seen_images import coded, comparison_of

NUMBER = 10


@pytest.fixture(scope="module")
def made():
    return comparison_of(NUMBER, 2, 32)


def test_a_page_holds_all_images_with_the_masks_of_every_variant(made):
    results, seen = made
    comparison = Comparison(results)
    held = images_of_page(comparison, seen)
    assert held["rows"] == list(range(NUMBER))
    assert held["size"] == [32, 32]
    for row in range(NUMBER):
        assert held["masks"][row] == [seen.masks[each.name].codes(row) for each in comparison.results]
        np.testing.assert_array_equal(coded(seen.truth).codes(row), held["truth"][row])
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(held["pictures"][3].partition(",")[2]), np.uint8), 0)
    assert np.abs(shown.astype(int) - seen.images[3, ..., 0]).mean() < 12


def test_of_too_many_images_those_are_held_that_tell_most(made, monkeypatch):
    results, seen = made
    monkeypatch.setattr(seen_images, "MOST_IMAGES", 3)
    comparison = Comparison(results)
    full = np.array(comparison.results[0].per_image["dice"])
    largest = np.max([np.abs(np.array(each.per_image["dice"]) - full) for each in comparison.compressed], axis=0)
    rows = images_of_page(comparison, seen)["rows"]
    assert rows == sorted(np.argsort(-largest, kind="stable")[:3].tolist())
    assert held_sentence(3, NUMBER).startswith("3 of the 10 test images, so that the page stays small")
    assert held_sentence(NUMBER, NUMBER) == "All 10 test images."


def test_pictures_get_coarser_and_then_fewer_where_they_do_not_fit(made, monkeypatch):
    results, seen = made
    comparison, whole = Comparison(results), sum(map(len, images_of_page(Comparison(results), seen)["pictures"]))
    monkeypatch.setattr(seen_images, "PICTURE_BYTES", int(0.8 * whole))
    coarser = images_of_page(comparison, seen)
    assert len(coarser["rows"]) == NUMBER
    assert sum(map(len, coarser["pictures"])) <= 0.8 * whole
    monkeypatch.setattr(seen_images, "PICTURE_BYTES", whole // 20)
    fewer = images_of_page(comparison, seen)
    assert 0 < len(fewer["rows"]) < NUMBER
    assert sum(map(len, fewer["pictures"])) <= whole // 20


def test_masks_that_are_too_many_limit_the_images(made, monkeypatch):
    results, seen = made
    an_image = sum(masks.runs.nbytes for masks in seen.masks.values()) / NUMBER
    monkeypatch.setattr(seen_images, "MASK_BYTES", 4.5 * an_image)
    assert len(images_of_page(Comparison(results), seen)["rows"]) == 4


def test_large_pictures_are_made_smaller_and_colours_stay():
    red = np.zeros((600, 1200, 3), np.uint8)
    red[..., 0] = 200
    found = cv2.imdecode(np.frombuffer(base64.b64decode(picture(red, 85).partition(",")[2]), np.uint8), 1)
    assert found.shape == (256, 512, 3)
    assert np.abs(found[..., ::-1].reshape(-1, 3).mean(0) - [200, 0, 0]).max() < 8


def test_masks_of_other_images_are_refused(made):
    _, seen = made
    with pytest.raises(ValueError, match="10 images, 10 true masks, 4 masks of baseline"):
        SeenImages(seen.images, seen.truth, {"baseline": coded(seen.truth[:4])})


def test_the_first_screen_shows_truth_baseline_and_the_network_in_question(made):
    results, seen = made
    comparison = Comparison(results)
    row, panels = opening_panels(comparison, seen)
    assert [panel.title for panel in panels][:2] == ["Truth", "baseline"]
    assert len(panels) == 3
    assert panels[1].note == f"Dice {comparison.results[0].per_image['dice'][row]:.3f}"
    assert opening_panels(comparison, None) == (0, [])


def test_errors_have_colours_of_their_own():
    truth, predicted = np.array([[1, 1, 0, 0, 2]], np.uint8), np.array([[1, 0, 1, 0, 1]], np.uint8)
    drawn = error_overlay(np.zeros((1, 5, 1), np.uint8), truth, predicted)[0]
    assert drawn[3].tolist() == [0, 0, 0]
    for place, kind in enumerate(("found", "missed", "false", None, "confused")):
        if kind is not None:
            color = np.array([int(COLORS[kind][at : at + 2], 16) for at in (1, 3, 5)])
            assert np.argmax(drawn[place]) == np.argmax(color), kind
