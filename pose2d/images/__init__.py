"""From files and boxes to batches of crops on a device."""
