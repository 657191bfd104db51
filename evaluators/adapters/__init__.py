"""Adapters: low-rank branches trained beside a frozen compressed model, merged or exported as weights of their own."""
