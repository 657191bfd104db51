"""What people see: console, tables, pictures."""
