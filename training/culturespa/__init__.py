"""CultureSPA: a model is trained on where its own answers change once it is told a culture."""
