"""Labels by MediaPipe's face mesh: its points, their adapter, faces turned by it."""
