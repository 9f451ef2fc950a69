"""The exercise engine: cases, probe and judge; checking, stubs, diagnosis and the audit of the bank."""
