"""What the music makers share: genres, vocabulary, audio decoding, finishing, loudness."""
