"""Discord: slash commands, buttons and cards over the studio. Nothing of it is imported until it is used."""
