"""Rules that records must pass to be trained on: measured first, previewed, then applied, with a line for every drop.

rule            what a rule is: a measure and its thresholds
rules           the rules by name, and the list of them in a file
sample          a record whose pictures are opened once, when a rule asks
text_rules      words: how many, how often the same, and which must not be there
language        which language
boilerplate     phrases of many records
picture_rules   pictures: readable, large enough, not blank
duplicates      near-duplicates, of the data and of evaluation sets (similar: how they are found)
similar         which known record is most like a new one
clip_similarity    a text that fits its picture in the eyes of a CLIP
caption_agreement  ... and in those of a captioner of ours
safety          a callable that refuses (minigemini.safety)
measure         first pass: each record by itself, on all cores
measured_files  what has been measured is kept
judge           second pass: rules in their order
preview         what each rule would drop, at its threshold and others (preview_page: as a table and a page)
preview_page    a preview, to be looked at
apply           what is kept, and the log of what is not
"""
