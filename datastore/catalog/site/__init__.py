"""What belongs to the site and to its tools: options, translations, and how tasks went."""
