"""The gauntlet: a hostile peer on a bad line, for whoever joins the network."""
