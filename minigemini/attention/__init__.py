"""Where an answer looked: ``maps`` as numbers, ``picture`` for people, ``overlay`` for programs that show the pictures themselves."""
