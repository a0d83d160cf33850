"""Records on disk -> conversations -> batches. The processor is an argument; no model is built here."""
