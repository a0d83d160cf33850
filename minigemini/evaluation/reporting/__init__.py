"""What stands in runs, without a model but for the pictures of where it looked.

stored_run     a run whose answers are judged, as diff and page read it
diff           is B better than A? (paired: intervals and tests)
table          the tabletop's table
page           a run as one HTML page (row_pictures: its pictures)
expected       numbers to hold a run against
"""
