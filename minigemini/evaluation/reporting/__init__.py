"""What stands in runs, without a model but for the pictures of where it looked.

result         what a command measured: the one schema of results files
scored         scored lines -> a result; `eval score`
stored_run     a result read back, for diff and page
diff           is B better than A? (paired: intervals and tests)
table          the one writer of tables and results files
page           a run as one HTML page (row_pictures: its pictures)
expected       numbers to hold a run against
"""
