package main

func runFull(r *Run) {}

func runFaults(r *Run) {}
