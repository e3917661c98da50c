"""The work of one branch brought into another: compared, merged by row, decided."""
