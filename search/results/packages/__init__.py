"""Exported packages: conversion and proof, name, description, record and manifest."""
