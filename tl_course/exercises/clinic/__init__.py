"""Exercises of lesson 11: the listings that tutorials print, with their real faults."""
