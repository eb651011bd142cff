"""The judgement: scores made of stored readings, compared with the benchmark's accuracies. No network runs here."""
