"""How weights come to be: public layouts, sources, teacher labels, drawn faces, learning, evaluation, studies."""
