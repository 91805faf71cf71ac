"""May this person make this here? Prompt rules, channel rules, flood limits."""
