"""The review of a search: everything that is known of it, in one page that any browser opens."""
