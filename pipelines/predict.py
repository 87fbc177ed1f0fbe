"""Pipeline: masks of images, by a network that exists."""

from zenml import pipeline

from configs.sections import ReadingConfig
from steps.fingerprint_images import fingerprint_images
from steps.fingerprint_network import fingerprint_network
from steps.predict_images import predict_images
from steps.write_predictions import write_predictions


@pipeline(name="predict")
def predict(reading: ReadingConfig, device: str) -> None:
    """(Images, network) -> fingerprint -> predict -> write."""
    predictions = predict_images(fingerprint_images(), fingerprint_network(), reading, device)
    write_predictions(predictions)
