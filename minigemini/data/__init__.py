"""Records on disk -> conversations -> batches. The processor is an argument; no model is built here.

card       data_recipes/: what a mixture is made of
card_parts what a training recipe takes of one
sources    which files, and where their pictures lie
readers    files of each format -> raw records
records    raw records of each form -> records
check      every record is looked at before the first step; all that is wrong is listed
prepare    records as they will be trained on, in shards that are made once and mapped (shard: one of them)
tokens     a record's token ids, and which of them are learnt
mixture    in which order records come
packing    which of them share a row of tokens
collator   records -> a batch
"""
