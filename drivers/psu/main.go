// Command psu drives one high or low voltage supply.
package main

import "trackerdcs/pkg/service"

func main() {
	service.Main("psu", "drives one high or low voltage supply.", run)
}
