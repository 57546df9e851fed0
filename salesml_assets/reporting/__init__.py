"""The report: what it shows (`data`), how (`figures`, `tables`, `readings`), and as what (`html`, `markdown`)."""
