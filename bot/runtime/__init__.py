"""From settings to a running bot: settings, composition, supervisor, logs, event loop."""
