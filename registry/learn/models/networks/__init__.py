"""Networks: how inputs are read, encoded, fused over time and sensors, decoded and answered."""
