"""How weights come to be: data, synthetic faces, augmentation, losses, fitting, evaluation."""
