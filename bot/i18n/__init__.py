"""Every sentence a person reads, in six languages."""
