"""The live engine: a daemon that takes the champion, hears one venue, trades another and writes everything down."""
