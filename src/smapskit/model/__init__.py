"""What is known about memory: records, classification, totals, differences. No text, no I/O."""
