"""Where an answer looked: `maps` as numbers, `picture` for people."""
