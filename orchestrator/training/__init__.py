"""Inside a Ray Train worker: Keras fit under MultiWorkerMirroredStrategy."""
