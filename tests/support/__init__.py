"""What tests share. Tests import from here, never from conftest or from each other."""
