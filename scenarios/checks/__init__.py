"""What is wrong with a scenario that its schema allows, found before it is played."""
