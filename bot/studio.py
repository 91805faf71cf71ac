"""What every frontend calls: submit, reroll, rescore, cancel, place, history, admin verbs."""
